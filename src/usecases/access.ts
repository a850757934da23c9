import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";

/** Who calls: an operator, who may see every organization, or somebody with a key of one organization. */
export type Principal = { kind: "operator" } | { kind: "organization"; organizationId: string; keyId: string };

/**
 * The organization that a call is about. A key of an organization implies it; an operator may name one, and undefined means any. Naming
 * another organization than the key's own throws ORGANIZATION_NOT_FOUND, as if it did not exist.
 */
export function organizationOf(principal: Principal, requested: string | undefined): string | undefined {
  if (principal.kind === "operator") return requested;
  if (requested === undefined || requested === principal.organizationId) return principal.organizationId;
  throw organizationNotFound(requested);
}

/**
 * The same where a call cannot do without an organization. Throws ORGANIZATION_REQUIRED, naming `field`, where an operator names none.
 */
export function requiredOrganizationOf(principal: Principal, requested: string | undefined, field: string): string {
  const organizationId = organizationOf(principal, requested);
  if (organizationId !== undefined) return organizationId;
  const description = "an operator's key belongs to no organization: name one here, such as org_…";
  throw new TellwireError("ORGANIZATION_REQUIRED", `${field}: ${description}`, {
    fieldViolations: [{ field, description }],
  });
}

/** Throws OPERATOR_REQUIRED for everybody but an operator. `what` begins the sentence: "creating an organization". */
export function requireOperator(principal: Principal, what: string): void {
  if (principal.kind !== "operator") {
    throw new TellwireError(
      "OPERATOR_REQUIRED",
      `${what} needs an operator's key; this key belongs to an organization`,
    );
  }
}

/** ORGANIZATION_NOT_FOUND for an organization's UUID. */
export function organizationNotFound(organizationId: string): TellwireError {
  const id = publicId("organization", organizationId);
  return new TellwireError("ORGANIZATION_NOT_FOUND", `there is no organization ${id}`, {
    metadata: { organization_id: id },
  });
}

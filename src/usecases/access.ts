import { publicId } from "../domain/ids.ts";
import type { AccessRule, Scope } from "../domain/scope.ts";
import { TellwireError } from "../errors.ts";

/** Who calls: an operator, who may see every organization, or somebody who belongs to one organization. */
export type Principal = OperatorPrincipal | OrganizationPrincipal;

interface Caller {
  actor: Actor;
  origin: Origin;
  /** What the caller may do at all. */
  scopes: ReadonlySet<Scope>;
}

/** An internal service, or whoever runs the server. */
export interface OperatorPrincipal extends Caller {
  kind: "operator";
}

/** A customer: nothing of other organizations exists for it. */
export interface OrganizationPrincipal extends Caller {
  kind: "organization";
  organizationId: string;
  /** Only what belongs to this project; undefined: everything of the organization. */
  projectId: string | undefined;
}

/** Who acts, for the audit log and for counting. */
export interface Actor {
  kind: ActorKind;
  /** The public id of a key (`key_…`), a token's id, a certificate's name, an operator key's fingerprint; never a secret. */
  id: string;
}

export type ActorKind =
  | "OPERATOR_KEY"
  | "API_KEY"
  | "PORTAL_TOKEN"
  | "EXTERNAL_TOKEN"
  | "CLIENT_CERTIFICATE"
  | "SYSTEM";

/** From where a call came. */
export interface Origin {
  /** The client's address, without a port; behind trusted proxies the one that they name. */
  address: string | undefined;
  /** At most 256 characters, none of them a control character. */
  userAgent: string | undefined;
  /** `req_…`: errors and the log name it too. */
  requestId: string | undefined;
}

/**
 * Throws SCOPE_MISSING where the caller does not have the scope, and OPERATOR_REQUIRED where it is no operator and only operators may.
 * The front doors call it for every call, right after authentication and before a body is read: RPCs and REST from one
 * admission, the dialects from one handler.
 */
export function requireScope(principal: Principal, rule: AccessRule): void {
  if (rule === "operators only") {
    requireOperator(principal, "this call");
  } else if (!principal.scopes.has(rule)) {
    throw new TellwireError(
      "SCOPE_MISSING",
      `this call needs the scope ${rule}, which the caller's key does not have`,
      {
        metadata: { scope: rule },
      },
    );
  }
}

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

/** The project that the caller is kept to; undefined: none, it sees its whole organization or all of them. */
export function projectOf(principal: Principal): string | undefined {
  return principal.kind === "organization" ? principal.projectId : undefined;
}

/** Throws WHOLE_ORGANIZATION_REQUIRED for a caller that is kept to a project. `what` begins the sentence: "reading the audit log". */
export function requireWholeOrganization(principal: Principal, what: string): void {
  const projectId = projectOf(principal);
  if (projectId === undefined) return;
  throw new TellwireError(
    "WHOLE_ORGANIZATION_REQUIRED",
    `${what} needs a caller who may see the whole organization; this one is kept to the project ${JSON.stringify(projectId)}`,
    { metadata: { project_id: projectId } },
  );
}

/** ORGANIZATION_NOT_FOUND for an organization's UUID. */
export function organizationNotFound(organizationId: string): TellwireError {
  const id = publicId("organization", organizationId);
  return new TellwireError("ORGANIZATION_NOT_FOUND", `there is no organization ${id}`, {
    metadata: { organization_id: id },
  });
}

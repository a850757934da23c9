import { allScopes } from "../../src/domain/scope.ts";
import type { OperatorPrincipal, OrganizationPrincipal, Origin } from "../../src/usecases/access.ts";
import type { Peer } from "../../src/usecases/authenticate.ts";
import type { CallLimits } from "../../src/usecases/call-limits.ts";

/** From nowhere in particular. */
export const origin: Origin = { address: undefined, userAgent: undefined, requestId: undefined };

/** A peer that shows nothing but its key. */
export const peer: Peer = { origin, clientCertificate: undefined };

/** Somebody whom nothing is kept from. */
export const operator: OperatorPrincipal = {
  kind: "operator",
  actor: { kind: "OPERATOR_KEY", id: "0123456789ab" },
  origin,
  scopes: allScopes,
};

/** Somebody with a key of the organization that has every scope, unless the overrides say otherwise. `organizationId` is a UUID. */
export function organizationPrincipal(
  organizationId: string,
  overrides: Partial<Omit<OrganizationPrincipal, "kind" | "organizationId">> = {},
): OrganizationPrincipal {
  return {
    kind: "organization",
    organizationId,
    projectId: undefined,
    actor: { kind: "API_KEY", id: "key_01k3a9q7j8f0vb2m4n6p8r1s3t" },
    origin,
    scopes: allScopes,
    ...overrides,
  };
}

/** As many calls as anybody likes. */
export const noCallLimits: CallLimits = { admit: async () => ({ headers: undefined, refusal: undefined }) };

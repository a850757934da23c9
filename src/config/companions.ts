import type { FieldViolation } from "../errors.ts";
import type { VariableName } from "./variables.ts";

/** What is set and makes no sense without another variable that is not. */
export function companionViolations(given: Readonly<Record<string, string | undefined>>): FieldViolation[] {
  return companions.flatMap(([name, needed, why]) =>
    given[name] !== undefined && given[needed] === undefined
      ? [{ field: needed, description: `must be set where ${name} is: ${why}` }]
      : [],
  );
}

const clientsNeed = "certificates of clients need an authority that they are checked against";
const tokensNeed = "tokens of an issuer are taken only where its name, its keys and the audience are known";

/** A variable, the one that it needs, and why. */
const companions: readonly (readonly [VariableName, VariableName, string])[] = [
  ["TELLWIRE_GRPC_CLIENT_CA", "TELLWIRE_TLS_CERT", "clients show certificates within TLS"],
  ["TELLWIRE_GRPC_CLIENT_IDENTITIES", "TELLWIRE_GRPC_CLIENT_CA", clientsNeed],
  ["TELLWIRE_GRPC_CLIENT_AUTH", "TELLWIRE_GRPC_CLIENT_CA", clientsNeed],
  ["TELLWIRE_JWT_ISSUER", "TELLWIRE_JWT_JWKS_URL", tokensNeed],
  ["TELLWIRE_JWT_JWKS_URL", "TELLWIRE_JWT_AUDIENCE", tokensNeed],
  ["TELLWIRE_JWT_AUDIENCE", "TELLWIRE_JWT_ISSUER", tokensNeed],
  ["TELLWIRE_JWT_ORGANIZATION_CLAIM", "TELLWIRE_JWT_ISSUER", tokensNeed],
  ["TELLWIRE_JWT_SCOPE_CLAIM", "TELLWIRE_JWT_ISSUER", tokensNeed],
  ["TELLWIRE_JWT_OPERATOR_CLAIM", "TELLWIRE_JWT_ISSUER", tokensNeed],
];

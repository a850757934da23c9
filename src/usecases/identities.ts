import { createPortalTokenCodec } from "../domain/portal-token.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { type Authenticate, type Authenticator, createAuthenticate } from "./authenticate.ts";
import type { Transact } from "./changes.ts";
import { createClientCertificates } from "./client-certificates.ts";
import type { Dependencies } from "./dependencies.ts";
import { createExternalTokens } from "./external-tokens.ts";
import { createFindIssuerKey } from "./issuer-keys.ts";
import { createOperatorKeys } from "./operator-keys.ts";
import type { Organizations } from "./organizations.ts";
import { type ApiKeysById, createFindMaker } from "./portal-token-makers.ts";
import { createPortalTokens, type PortalTokens } from "./portal-tokens.ts";

/** Everything by which callers show who they are. */
export interface Identities {
  authenticate: Authenticate;
  portalTokens: PortalTokens;
}

export interface IdentitiesParts {
  organizations: Organizations;
  apiKeys: ApiKeysById & { identify: Authenticator };
  transact: Transact;
  audit: AuditTrail;
}

/** A call with a key is that key's, whatever certificate its connection has shown: a key says more of the call than the connection does. */
export function createIdentities(dependencies: Dependencies, parts: IdentitiesParts): Identities {
  const { organizations, apiKeys } = parts;
  const { ids, operatorKeys, secretsKeys, secretBox, clientIdentities } = dependencies;
  const { now } = ids;
  const clientCertificates = createClientCertificates({ identities: clientIdentities, organizations, now });
  const portalTokens = createPortalTokens({
    ...parts,
    codec: createPortalTokenCodec({ secretsKeys, secretBox }),
    findMaker: createFindMaker({ apiKeys, operatorKeys, clientCertificates }),
    ids,
  });
  const authenticate = createAuthenticate([
    createOperatorKeys(operatorKeys),
    apiKeys.identify,
    portalTokens.identify,
    ...externalTokens(dependencies, organizations),
    clientCertificates.identify,
  ]);
  return { authenticate, portalTokens };
}

function externalTokens({ externalTokens: external, ids, log }: Dependencies, organizations: Organizations) {
  if (external === undefined) return [];
  const { issuer, readKeys } = external;
  const findKey = createFindIssuerKey({ read: readKeys, now: ids.now, log });
  return [createExternalTokens({ external: issuer, findKey, organizations, now: ids.now })];
}

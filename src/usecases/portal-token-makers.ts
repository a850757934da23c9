import { endedKey } from "../domain/ended-key.ts";
import { allScopes, type Scope } from "../domain/scope.ts";
import { TellwireError } from "../errors.ts";
import type { ClientCertificates } from "./client-certificates.ts";
import { operatorKeyFingerprint } from "./operator-keys.ts";
import type { FindMaker } from "./portal-tokens.ts";

export interface PortalTokenMakersDependencies {
  apiKeys: ApiKeysById;
  operatorKeys: readonly string[];
  clientCertificates: Pick<ClientCertificates, "grantOf">;
}

/** Whose an API key is, by its public id. Throws KEY_INVALID for one that does not exist, has expired or was revoked. */
export interface ApiKeysById {
  require(keyId: string): Promise<{ organizationId: string; scopes: ReadonlySet<Scope> }>;
}

/**
 * Asks, at each call with a portal token, after what it was made with: a key that was revoked or has expired, an operator's key that was replaced,
 * and a certificate's name that is no longer listed end the tokens that were made with them.
 */
export function createFindMaker({
  apiKeys,
  operatorKeys,
  clientCertificates,
}: PortalTokenMakersDependencies): FindMaker {
  const fingerprints = new Set(operatorKeys.map(operatorKeyFingerprint));

  async function scopesOf(
    ...[{ kind, id }, organizationId]: Parameters<FindMaker>
  ): Promise<ReadonlySet<Scope> | undefined> {
    switch (kind) {
      case "API_KEY": {
        const key = await apiKeys.require(id);
        return key.organizationId === organizationId ? key.scopes : undefined;
      }
      case "OPERATOR_KEY":
        return fingerprints.has(id) ? allScopes : undefined;
      case "CLIENT_CERTIFICATE": {
        const grant = clientCertificates.grantOf(id);
        if (grant?.kind === "operator") return allScopes;
        return grant?.organizationId === organizationId ? new Set(grant.scopes) : undefined;
      }
    }
  }

  return async (maker, organizationId) => {
    const scopes = await scopesOf(maker, organizationId).catch(retold);
    if (scopes !== undefined) return scopes;
    throw ended("is no longer accepted for this organization");
  };
}

/** The key that has ended is not the one that the caller has shown. */
function retold(error: unknown): never {
  if (!(error instanceof TellwireError) || error.reason !== "KEY_INVALID") throw error;
  throw ended(error.message.replace(/^the key (.*?)(: .*)?$/, "$1"));
}

function ended(why: string): TellwireError {
  return endedKey(`the token has ended, because the key that it was made with ${why}: get another one`);
}

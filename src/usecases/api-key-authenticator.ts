import { LRUCache } from "lru-cache";
import { ageMs } from "../domain/age.ts";
import { endedKey } from "../domain/ended-key.ts";
import { parseId, publicId } from "../domain/ids.ts";
import type { Scope } from "../domain/scope.ts";
import { type ApiKey, ApiKeyEntity } from "../store/entities/api-key.ts";
import type { AccessChannel } from "./access-channel.ts";
import { apiKeyHash, isApiKeyText } from "./api-key-text.ts";
import { type Authenticator, keyInvalid } from "./authenticate.ts";
import type { Dependencies } from "./dependencies.ts";
import type { KeyUsage } from "./key-usage.ts";

/** Knows whose a key is, from memory where it was used lately. */
export interface ApiKeyAuthenticator {
  /** Undefined where the text is no key that is known here. Throws KEY_INVALID for one that has expired or was revoked. */
  identify: Authenticator;
  /** What a key may do, by its public id. Throws KEY_INVALID for one that is not known here, has expired or was revoked. */
  require(publicKeyId: string): Promise<{ organizationId: string; scopes: ReadonlySet<Scope> }>;
  /** From now on the key is revoked, whatever memory says. A UUID. */
  forget(keyId: string): void;
}

/**
 * A revocation reaches every process by the access channel at once: a key is answered from memory only while this process listens, and all of
 * them are read again after a gap. A key is also read again when it was read some seconds ago, for the case that the network holds
 * messages back without a word.
 */
export function createApiKeyAuthenticator({ database, ids, accessChannel, usage }: Parts): ApiKeyAuthenticator {
  const known = new LRUCache<string, KnownKey>({ max: 10_000 });
  // A key that is revoked while it is read must not come back by what was read.
  const revoked = new LRUCache<string, true>({ max: 10_000 });
  // Of calls that come at once with one key, the first reads it for all: they hear of its revocation as they do of that of a key in memory.
  const underWay = new Map<string, Promise<KnownKey | undefined>>();
  let gaps = 0;

  const forget = (keyId: string): void => void revoked.set(keyId, true);
  accessChannel.subscribe("key-revoked", forget, () => {
    gaps += 1;
    known.clear();
    underWay.clear();
  });

  /** `name`: under which it is remembered. */
  async function find(name: string, key: KeyName): Promise<KnownKey | undefined> {
    if (!accessChannel.isListening()) return await read(key);
    const cached = known.get(name);
    if (cached !== undefined && ageMs(cached.readAtMs, ids.now()) < maxAgeMs) return cached;
    return await (underWay.get(name) ?? readForAll(name, key));
  }

  function readForAll(name: string, key: KeyName): Promise<KnownKey | undefined> {
    const gapsBefore = gaps;
    const reading = read(key)
      .then((found) => {
        if (found !== undefined && accessChannel.isListening() && gaps === gapsBefore) known.set(name, found);
        return found;
      })
      .finally(() => {
        if (underWay.get(name) === reading) underWay.delete(name);
      });
    underWay.set(name, reading);
    return reading;
  }

  async function read(key: KeyName): Promise<KnownKey | undefined> {
    const readAtMs = ids.now();
    const row = await database.em().findOne(ApiKeyEntity, key);
    return row === null ? undefined : knownKey(row, readAtMs);
  }

  function requireUsable({ id, isRevoked, expiresAt }: KnownKey): void {
    if (isRevoked || revoked.has(id)) throw endedKey("the key was revoked: use another one");
    if (expiresAt !== null && expiresAt.getTime() <= ids.now()) {
      throw endedKey(`the key expired at ${expiresAt.toISOString()}: create another one`);
    }
  }

  return {
    async identify({ keyText, origin }) {
      if (keyText === undefined || !isApiKeyText(keyText)) return undefined;
      const hash = apiKeyHash(keyText);
      const key = await find(hash.toString("base64"), { hash });
      if (key === undefined) return undefined;
      requireUsable(key);
      const { id, organizationId, projectId, scopes } = key;
      usage.note(id);
      const actor = { kind: "API_KEY", id: publicId("apiKey", id) } as const;
      return { kind: "organization", organizationId, projectId, actor, origin, scopes };
    },
    async require(publicKeyId) {
      const id = parseId("apiKey", publicKeyId);
      const key = id === undefined ? undefined : await find(id, { id });
      if (key === undefined) throw keyInvalid("is not known here");
      requireUsable(key);
      return key;
    },
    forget,
  };
}

type KeyName = { hash: Buffer } | { id: string };

interface Parts extends Pick<Dependencies, "database" | "ids"> {
  accessChannel: AccessChannel;
  usage: Pick<KeyUsage, "note">;
}

interface KnownKey {
  id: string;
  organizationId: string;
  projectId: string | undefined;
  scopes: ReadonlySet<Scope>;
  expiresAt: Date | null;
  isRevoked: boolean;
  readAtMs: number;
}

function knownKey({ id, organizationId, projectId, scopes, expiresAt, revokedAt }: ApiKey, readAtMs: number): KnownKey {
  return {
    id,
    organizationId,
    projectId: projectId ?? undefined,
    scopes: new Set(scopes),
    expiresAt: expiresAt ?? null,
    isRevoked: revokedAt != null,
    readAtMs,
  };
}

const maxAgeMs = 5_000;

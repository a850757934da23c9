import { LRUCache } from "lru-cache";
import { type PublicJwk, publicJwk } from "../domain/signing-key.ts";
import { TellwireError } from "../errors.ts";
import { loadPublicKeys } from "../store/sql/load-public-keys.ts";
import type { Sql } from "../store/sql.ts";

/**
 * The public keys that sign for a webhook now, newest first. Empty for one that signs with a secret alone, and for one that does not exist:
 * whoever asks cannot tell which. At most five seconds old. Throws UNAVAILABLE errors of the database, and DATABASE_UNAVAILABLE where too many
 * ask at once.
 *
 * Anybody may ask, so what that costs is bounded: answers are kept in memory, and what is missing there is read by one statement at a time for
 * all who wait.
 */
export type PublishedKeys = (webhookId: string) => Promise<readonly PublicJwk[]>;

export interface PublishedKeysOptions {
  sql: Sql;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** How many webhooks are kept in memory. */
  maxKept?: number;
  /** How many webhooks may wait to be read. */
  maxWaiting?: number;
}

export function createPublishedKeys({ sql, now, ...limits }: PublishedKeysOptions): PublishedKeys {
  const { maxKept = 10_000, maxWaiting = 10_000 } = limits;
  const kept = new LRUCache<string, Kept>({ max: maxKept });
  /** Who waits for which webhook; in the order of asking. */
  const waiting = new Map<string, PromiseWithResolvers<readonly PublishedKey[]>>();
  let isReading = false;

  const ask = (webhookId: string): Promise<readonly PublishedKey[]> => {
    const asked = waiting.get(webhookId) ?? Promise.withResolvers();
    if (!waiting.has(webhookId)) {
      if (waiting.size >= maxWaiting) return Promise.reject(tooMany());
      waiting.set(webhookId, asked);
    }
    if (!isReading) void readAll();
    return asked.promise;
  };

  const readAll = async (): Promise<void> => {
    isReading = true;
    // Whoever asks in this moment is read for with the first.
    await Promise.resolve();
    while (waiting.size > 0) {
      const batch = [...waiting].slice(0, maxAtOnce);
      for (const [webhookId] of batch) waiting.delete(webhookId);
      await read(new Map(batch));
    }
    isReading = false;
  };

  const read = async (batch: ReadonlyMap<string, PromiseWithResolvers<readonly PublishedKey[]>>): Promise<void> => {
    const readAt = now();
    try {
      const rows = Map.groupBy(await loadPublicKeys(sql, [...batch.keys()]), ({ webhookId }) => webhookId);
      for (const [webhookId, asked] of batch) {
        const keys = (rows.get(webhookId) ?? []).map(({ publicKey, expiresAt }) => ({
          jwk: publicJwk(publicKey),
          expiresAt,
        }));
        kept.set(webhookId, { keys, readAt });
        asked.resolve(keys);
      }
    } catch (error) {
      for (const asked of batch.values()) asked.reject(error);
    }
  };

  return async (webhookId) => {
    const found = kept.get(webhookId);
    const keys = found !== undefined && now() - found.readAt < maxAgeMs ? found.keys : await ask(webhookId);
    return keys.filter(({ expiresAt }) => expiresAt === null || expiresAt > now()).map(({ jwk }) => jwk);
  };
}

interface PublishedKey {
  jwk: PublicJwk;
  expiresAt: number | null;
}

interface Kept {
  keys: readonly PublishedKey[];
  readAt: number;
}

/** A new key signs at once: those who check signatures must find it soon. */
const maxAgeMs = 5_000;
const maxAtOnce = 500;

function tooMany(): TellwireError {
  const message = "too many ask for keys at the moment: try again soon";
  return new TellwireError("DATABASE_UNAVAILABLE", message, { retryAfterMs: 1_000 });
}

import { LRUCache } from "lru-cache";
import { type PublicJwk, publicJwk } from "../domain/signing-key.ts";
import { TellwireError } from "../errors.ts";
import { loadPublicKeys, type PublicKeyRow } from "../store/sql/load-public-keys.ts";
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
  /** Who waits for which webhook, those that are being read too. */
  const asked = new Map<string, PromiseWithResolvers<readonly PublishedKey[]>>();
  let queue: string[] = [];
  let isReading = false;

  const ask = (webhookId: string): Promise<readonly PublishedKey[]> => {
    const known = asked.get(webhookId);
    if (known !== undefined) return known.promise;
    if (asked.size >= maxWaiting) return Promise.reject(tooMany());
    const own = Promise.withResolvers<readonly PublishedKey[]>();
    asked.set(webhookId, own);
    queue.push(webhookId);
    if (!isReading) void readQueue();
    return own.promise;
  };

  const readQueue = async (): Promise<void> => {
    isReading = true;
    // Whoever asks in this moment is read for with the first.
    await Promise.resolve();
    while (queue.length > 0) {
      const batch = queue.slice(0, maxAtOnce);
      queue = queue.slice(maxAtOnce);
      await read(batch);
    }
    isReading = false;
  };

  const read = async (webhookIds: readonly string[]): Promise<void> => {
    const readAt = now();
    try {
      const rows = Map.groupBy(await loadPublicKeys(sql, webhookIds), ({ webhookId }) => webhookId);
      for (const webhookId of webhookIds) {
        const keys = (rows.get(webhookId) ?? []).map(publishedKey);
        kept.set(webhookId, { keys, readAt });
        asked.get(webhookId)?.resolve(keys);
      }
    } catch (error) {
      for (const webhookId of webhookIds) asked.get(webhookId)?.reject(error);
    }
    for (const webhookId of webhookIds) asked.delete(webhookId);
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

function publishedKey({ publicKey, expiresAt }: PublicKeyRow): PublishedKey {
  return { jwk: publicJwk(publicKey), expiresAt };
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

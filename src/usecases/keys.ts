import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { type IdSource, newUuid, publicId } from "../domain/ids.ts";
import { allScopes } from "../domain/scope.ts";
import { invalidFields, TellwireError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { type ApiKey, ApiKeyEntity } from "../store/entities/api-key.ts";
import { type Principal, requiredOrganizationOf } from "./access.ts";
import { type Authenticator, keyInvalid } from "./authenticate.ts";
import type { Organizations } from "./organizations.ts";
import { type Page, type PageRequest, pageById, pageSizeOf } from "./page.ts";
import { decodePageToken } from "./page-token.ts";

/** A key of an organization as it may be shown: without the key. */
export type ApiKeyRecord = Omit<ApiKey, "hash">;

/** The keys of organizations. */
export interface Keys {
  /** Who a key belongs to; undefined where it is not known here. Throws KEY_INVALID for one that has expired or was revoked. */
  identify: Authenticator;
  /** Creates a key; `key` is its text, shown this once. */
  create(principal: Principal, input: NewApiKey): Promise<{ apiKey: ApiKeyRecord; key: string }>;
  /** An organization's keys, newest first, the revoked ones too. */
  list(principal: Principal, organizationId: string, request: PageRequest): Promise<Page<ApiKeyRecord>>;
  /** From now on the key opens nothing: at once in this process, within five seconds in others. Throws API_KEY_NOT_FOUND. */
  revoke(principal: Principal, target: { organizationId: string; id: string }): Promise<void>;
}

export interface NewApiKey {
  organizationId: string;
  name: string;
  expiresAt: Date | null;
}

export interface KeysDependencies {
  database: Database;
  organizations: Organizations;
  ids: IdSource;
}

/** Keys are stored as their SHA-256: they hold 256 random bits, which nobody guesses from a hash. */
export function createKeys({ database, organizations, ids }: KeysDependencies): Keys {
  const cache = new LRUCache<string, CachedKey>({ max: 10_000 });
  let revocations = 0;

  async function find(keyHash: Buffer): Promise<CachedKey | undefined> {
    const cacheKey = keyHash.toString("base64");
    const cached = cache.get(cacheKey);
    if (cached !== undefined && ids.now() - cached.readAtMs < cacheMs) return cached;
    const revocationsBefore = revocations;
    const row = await database.em().findOne(ApiKeyEntity, { hash: keyHash });
    if (row === null) return undefined;
    const { id, organizationId, expiresAt, revokedAt } = row;
    const found = {
      keyId: id,
      organizationId,
      expiresAt: expiresAt ?? null,
      revokedAt: revokedAt ?? null,
      readAtMs: ids.now(),
    };
    // A key that was revoked while it was read must not come back by the cache.
    if (revocations === revocationsBefore) cache.set(cacheKey, found);
    return found;
  }

  return {
    async identify({ keyText, origin }) {
      if (keyText === undefined || !keyText.startsWith(keyPrefix)) return undefined;
      const found = await find(sha256(keyText));
      if (found === undefined) return undefined;
      if (found.revokedAt !== null) throw keyInvalid("was revoked: use another one");
      if (found.expiresAt !== null && found.expiresAt.getTime() <= ids.now()) {
        throw keyInvalid(`expired at ${found.expiresAt.toISOString()}: create another one`);
      }
      const { organizationId } = found;
      const actor = { kind: "API_KEY", id: publicId("apiKey", found.keyId) } as const;
      return { kind: "organization", organizationId, projectId: undefined, actor, origin, scopes: allScopes };
    },

    async create(principal, { organizationId: requested, name, expiresAt }) {
      const organizationId = requiredOrganizationOf(principal, requested, "organization_id");
      await organizations.require(organizationId);
      if (expiresAt !== null && expiresAt.getTime() <= ids.now()) {
        throw invalidFields({
          field: "api_key.expire_time",
          description: "must be in the future, or left out for a key that does not expire",
        });
      }
      const key = keyPrefix + Buffer.from(ids.randomBytes(32)).toString("base64url");
      const apiKey = {
        id: newUuid(ids),
        organizationId,
        name,
        prefix: key.slice(0, shownLength),
        createdAt: new Date(ids.now()),
        expiresAt,
        revokedAt: null,
      };
      await database.em().insert(ApiKeyEntity, { ...apiKey, hash: sha256(key) });
      return { apiKey, key };
    },

    async list(principal, requested, request) {
      const organizationId = requiredOrganizationOf(principal, requested, "organization_id");
      await organizations.require(organizationId);
      const filters = { list: "api_key", organizationId };
      const after = decodePageToken(filters, request.pageToken);
      const rows = await database
        .em()
        .find(
          ApiKeyEntity,
          { organizationId, ...(after === undefined ? {} : { id: { $lt: after.id } }) },
          { orderBy: { id: "desc" }, limit: pageSizeOf(request) + 1 },
        );
      return pageById(rows, { request, filters, toItem: (row) => row });
    },

    async revoke(principal, { organizationId: requested, id }) {
      const organizationId = requiredOrganizationOf(principal, requested, "organization_id");
      await organizations.require(organizationId);
      const em = database.em();
      const row = await em.findOne(ApiKeyEntity, { id, organizationId });
      if (row === null) throw apiKeyNotFound(id);
      row.revokedAt ??= new Date(ids.now());
      await em.flush();
      revocations += 1;
      cache.delete(row.hash.toString("base64"));
    },
  };
}

interface CachedKey {
  keyId: string;
  organizationId: string;
  expiresAt: Date | null;
  revokedAt: Date | null;
  readAtMs: number;
}

const keyPrefix = "twk_";
/** The prefix and eight characters: enough to tell keys apart, and 48 of 256 bits. */
const shownLength = 12;
/** How long a key that another process revoked may still work here. */
const cacheMs = 5_000;

function sha256(text: string): Buffer {
  return hash("sha256", text, "buffer");
}

function apiKeyNotFound(id: string): TellwireError {
  const keyId = publicId("apiKey", id);
  return new TellwireError("API_KEY_NOT_FOUND", `there is no key ${keyId} in this organization`, {
    metadata: { key_id: keyId },
  });
}

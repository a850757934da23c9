import { LockMode } from "@mikro-orm/core";
import { type IdSource, newUuid, publicId } from "../domain/ids.ts";
import { type Scope, scopes as scopesInOrder } from "../domain/scope.ts";
import { invalidFields, TellwireError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { type ApiKey, ApiKeyEntity } from "../store/entities/api-key.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import { type Principal, projectOf, requiredOrganizationOf } from "./access.ts";
import type { AccessChannel } from "./access-channel.ts";
import type { ApiKeyAuthenticator } from "./api-key-authenticator.ts";
import { apiKeyHash, newApiKeyText, shownPrefix } from "./api-key-text.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutApiKey, auditedApiKey } from "./audited-states.ts";
import type { Transact } from "./changes.ts";
import type { Organizations } from "./organizations.ts";
import { type Page, type PageRequest, pageById, pageSizeOf } from "./page.ts";
import { decodePageToken } from "./page-token.ts";
import { ownProjects } from "./projects.ts";
import type { Quotas } from "./quotas.ts";

/** A key of an organization as it may be shown: without the key. */
export type ApiKeyRecord = Omit<ApiKey, "hash">;

/** The keys of organizations. For a caller that is kept to a project there are only the keys of that project. */
export interface Keys {
  /**
   * Creates a key; `key` is its text, shown this once. Throws SCOPE_MISSING for a scope that the caller does not have, PROJECT_NOT_FOUND,
   * INVALID_FIELDS for an end that has passed, and QUOTA_EXCEEDED where the organization has as many as it may.
   */
  create(principal: Principal, input: NewApiKey): Promise<{ apiKey: ApiKeyRecord; key: string }>;
  /** An organization's keys, newest first, the revoked ones too. */
  list(principal: Principal, organizationId: string, request: PageRequest): Promise<Page<ApiKeyRecord>>;
  /** From now on the key opens nothing, in any process. Throws API_KEY_NOT_FOUND. */
  revoke(principal: Principal, target: { organizationId: string; id: string }): Promise<void>;
}

export interface NewApiKey {
  organizationId: string;
  name: string;
  expiresAt: Date | null;
  /** Empty: those of the caller. */
  scopes: readonly Scope[];
  /** What the key is kept to; empty: what the caller is kept to. */
  projectId: string;
}

export interface KeysDependencies {
  database: Database;
  organizations: Organizations;
  quotas: Quotas;
  ids: IdSource;
  transact: Transact;
  audit: AuditTrail;
  accessChannel: Pick<AccessChannel, "publish">;
  authenticator: Pick<ApiKeyAuthenticator, "forget">;
}

export function createKeys(dependencies: KeysDependencies): Keys {
  const { database, organizations, quotas, ids, transact, audit, accessChannel, authenticator } = dependencies;

  async function organizationIdOf(principal: Principal, requested: string): Promise<string> {
    const organizationId = requiredOrganizationOf(principal, requested, "organization_id");
    await organizations.require(organizationId);
    return organizationId;
  }

  return {
    async create(principal, { organizationId: requested, name, expiresAt, scopes, projectId }) {
      const organizationId = await organizationIdOf(principal, requested);
      const [project = null] = ownProjects(principal, projectId === "" ? [] : [projectId]);
      if (project !== null) await organizations.requireProjects(organizationId, [project]);
      checkEnd(expiresAt, ids.now());
      const key = newApiKeyText(ids.randomBytes);
      const apiKey = {
        id: newUuid(ids),
        organizationId,
        projectId: project,
        name,
        prefix: shownPrefix(key),
        scopes: grantedScopes(principal, scopes),
        createdAt: new Date(ids.now()),
        expiresAt,
        revokedAt: null,
        lastUsedAt: null,
      };
      const requireRoom = await quotas.of(organizationId, "api-keys");
      await transact(async (em) => {
        await requireRoom(em);
        await em.insert(ApiKeyEntity, { ...apiKey, hash: apiKeyHash(key) });
        const change = { action: "api_key.create", before: null, after: auditedApiKey(apiKey) } as const;
        await audit.record(em, principal, { ...aboutApiKey(apiKey), ...change });
      });
      return { apiKey, key };
    },

    async list(principal, requested, request) {
      const organizationId = await organizationIdOf(principal, requested);
      const filters = { list: "api_key", organizationId, ...projectCondition(principal) };
      const after = decodePageToken(filters, request.pageToken);
      const where = {
        organizationId,
        ...projectCondition(principal),
        ...(after === undefined ? {} : { id: { $lt: after.id } }),
      };
      const rows = await database
        .em()
        .find(ApiKeyEntity, where, { orderBy: { id: "desc" }, limit: pageSizeOf(request) + 1 });
      return pageById(rows, { request, filters, toItem: (row) => row });
    },

    async revoke(principal, { organizationId: requested, id }) {
      const organizationId = await organizationIdOf(principal, requested);
      await transact(async (em) => {
        const where = { id, organizationId, ...projectCondition(principal) };
        // Locked, so that of two revocations at once one is a change.
        const row = await em.findOne(ApiKeyEntity, where, { lockMode: LockMode.PESSIMISTIC_WRITE });
        if (row === null) throw apiKeyNotFound(id);
        if (!row.revokedAt) {
          const was = auditedApiKey(row);
          row.revokedAt = new Date(ids.now());
          await em.flush();
          const change = { action: "api_key.revoke", before: was, after: auditedApiKey(row) } as const;
          await audit.record(em, principal, { ...aboutApiKey(row), ...change });
        }
        await accessChannel.publish("key-revoked", id, transactionSql(em));
      });
      // Others hear of it; here it holds before the call is answered.
      authenticator.forget(id);
    },
  };
}

function projectCondition(principal: Principal): { projectId?: string } {
  const projectId = projectOf(principal);
  return projectId === undefined ? {} : { projectId };
}

function checkEnd(expiresAt: Date | null, now: number): void {
  if (expiresAt === null || expiresAt.getTime() > now) return;
  const description = "must be in the future, or left out for a key that does not expire";
  throw invalidFields({ field: "api_key.expire_time", description });
}

/** Nobody gives away what they do not have. */
function grantedScopes(principal: Principal, asked: readonly Scope[]): Scope[] {
  const missing = asked.find((scope) => !principal.scopes.has(scope));
  if (missing !== undefined) {
    const message = `api_key.scopes: a key can have only scopes that its creator has, and ${missing} is none of them`;
    throw new TellwireError("SCOPE_MISSING", message, { metadata: { scope: missing } });
  }
  const granted = asked.length === 0 ? principal.scopes : new Set(asked);
  return scopesInOrder.filter((scope) => granted.has(scope));
}

function apiKeyNotFound(id: string): TellwireError {
  const keyId = publicId("apiKey", id);
  return new TellwireError("API_KEY_NOT_FOUND", `there is no key ${keyId} in this organization`, {
    metadata: { key_id: keyId },
  });
}

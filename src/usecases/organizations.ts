import { isDeepStrictEqual } from "node:util";
import { LockMode, UniqueConstraintViolationException } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/sql";
import { LRUCache } from "lru-cache";
import { type IdSource, newUuid, publicId } from "../domain/ids.ts";
import type { LimitOverrides } from "../domain/limits.ts";
import { TellwireError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { type Organization, OrganizationEntity } from "../store/entities/organization.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import { organizationNotFound, organizationOf, type Principal, requireOperator } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutOrganization, auditedOrganization } from "./audited-states.ts";
import type { OrganizationLimits } from "./organization-limits.ts";
import { type Page, type PageRequest, pageById, pageSizeOf } from "./page.ts";
import { decodePageToken } from "./page-token.ts";
import { projectNotFound, toldProjects } from "./projects.ts";

/** An organization as it is stored. */
export type OrganizationRecord = Organization;

/** Tenants. Only operators create and change them; a key of an organization sees its own. */
export interface Organizations {
  /** `id`: a UUID that the organization brings from elsewhere; left out, one is made. Throws ORGANIZATION_EXISTS. */
  create(
    principal: Principal,
    input: { id?: string | undefined; name: string; projectIds?: string[]; limits?: LimitOverrides | null },
  ): Promise<OrganizationRecord>;
  /** Throws ORGANIZATION_NOT_FOUND. */
  get(principal: Principal, id: string): Promise<OrganizationRecord>;
  /** Newest first. */
  list(principal: Principal, request: PageRequest): Promise<Page<OrganizationRecord>>;
  /** What is left out stays. New limits hold at once, in every process. */
  update(
    principal: Principal,
    input: { id: string; name?: string; projectIds?: string[]; limits?: LimitOverrides | null },
  ): Promise<OrganizationRecord>;
  /** Throws ORGANIZATION_NOT_FOUND where there is none. Cheap enough for each event: what exists is remembered. */
  require(id: string): Promise<void>;
  /**
   * Throws PROJECT_NOT_FOUND where the organization lists its projects, and one of these is not among them. Who is in a transaction asks by its
   * `em`: the embedded database has one connection, and whoever waits for a second one waits for himself.
   */
  requireProjects(id: string, projectIds: readonly string[], em?: SqlEntityManager): Promise<void>;
}

export interface OrganizationsDependencies {
  database: Database;
  ids: IdSource;
  audit: AuditTrail;
  limits: Pick<OrganizationLimits, "changed">;
}

export function createOrganizations({
  database,
  ids,
  audit,
  limits: limitsInUse,
}: OrganizationsDependencies): Organizations {
  // Organizations are never deleted, so what was seen once needs no second look.
  const known = new LRUCache<string, true>({ max: 10_000 });

  async function find(id: string, em = database.em()): Promise<OrganizationRecord> {
    const row = await em.findOne(OrganizationEntity, { id });
    if (row === null) throw organizationNotFound(id);
    known.set(id, true);
    return row;
  }

  return {
    async create(principal, { id = newUuid(ids), name, projectIds = [], limits = null }) {
      requireOperator(principal, "creating an organization");
      const now = new Date(ids.now());
      const organization = { id, name, projectIds, limits, createdAt: now, updatedAt: now };
      try {
        await database.em().transactional(async (em) => {
          await em.insert(OrganizationEntity, organization);
          const change = {
            action: "organization.create",
            before: null,
            after: auditedOrganization(organization),
          } as const;
          await audit.record(em, principal, { ...aboutOrganization(organization), ...change });
        });
      } catch (error) {
        throw error instanceof UniqueConstraintViolationException ? organizationExists(id, error) : error;
      }
      return organization;
    },

    async get(principal, id) {
      organizationOf(principal, id);
      return asSeenBy(principal, await find(id));
    },

    async list(principal, request) {
      const own = organizationOf(principal, undefined);
      const filters = { list: "organization", own };
      const after = decodePageToken(filters, request.pageToken);
      const conditions = [...(own === undefined ? [] : [{ id: own }]), ...(after ? [{ id: { $lt: after.id } }] : [])];
      const rows = await database.em().find(OrganizationEntity, conditions.length === 0 ? {} : { $and: conditions }, {
        orderBy: { id: "desc" },
        limit: pageSizeOf(request) + 1,
      });
      return pageById(rows, { request, filters, toItem: (row) => asSeenBy(principal, row) });
    },

    async update(principal, { id, name, projectIds, limits }) {
      organizationOf(principal, id);
      requireOperator(principal, "changing an organization");
      return await database.em().transactional(async (em) => {
        // Locked, so that of two changes at once the second tells what the first left.
        const row = await em.findOne(OrganizationEntity, { id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
        if (row === null) throw organizationNotFound(id);
        const was = auditedOrganization(row);
        if (name !== undefined) row.name = name;
        if (projectIds !== undefined) row.projectIds = projectIds;
        if (limits !== undefined) row.limits = limits;
        row.updatedAt = new Date(ids.now());
        await em.flush();
        const change = { action: "organization.update", before: was, after: auditedOrganization(row) } as const;
        if (!isDeepStrictEqual(change.before, change.after)) {
          await audit.record(em, principal, { ...aboutOrganization(row), ...change });
        }
        if (limits !== undefined) await limitsInUse.changed(id, transactionSql(em));
        return row;
      });
    },

    async require(id) {
      if (!known.has(id)) await find(id);
    },

    async requireProjects(id, projectIds, em) {
      if (projectIds.length === 0) return;
      const { projectIds: registered } = await find(id, em);
      const foreign = projectIds.find((projectId) => !registered.includes(projectId));
      if (registered.length > 0 && foreign !== undefined) throw projectNotFound(foreign);
    },
  };
}

/** A caller that is kept to a project is not told of the others. */
function asSeenBy(principal: Principal, organization: OrganizationRecord): OrganizationRecord {
  const { id, name, projectIds, limits, createdAt, updatedAt } = organization;
  return { id, name, projectIds: toldProjects(principal, projectIds), limits, createdAt, updatedAt };
}

function organizationExists(organizationId: string, cause: unknown): TellwireError {
  const id = publicId("organization", organizationId);
  return new TellwireError("ORGANIZATION_EXISTS", `there is an organization ${id} already`, {
    metadata: { organization_id: id },
    cause,
  });
}

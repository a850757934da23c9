import { LRUCache } from "lru-cache";
import { type IdSource, newUuid } from "../domain/ids.ts";
import type { Database } from "../store/database.ts";
import { type Organization, OrganizationEntity } from "../store/entities/organization.ts";
import { organizationNotFound, organizationOf, type Principal, requireOperator } from "./access.ts";
import { type Page, type PageRequest, pageById, pageSizeOf } from "./page.ts";
import { decodePageToken } from "./page-token.ts";

/** An organization as it is stored. */
export type OrganizationRecord = Organization;

/** Tenants. Only operators create and change them; a key of an organization sees its own. */
export interface Organizations {
  create(principal: Principal, input: { name: string }): Promise<OrganizationRecord>;
  /** Throws ORGANIZATION_NOT_FOUND. */
  get(principal: Principal, id: string): Promise<OrganizationRecord>;
  /** Newest first. */
  list(principal: Principal, request: PageRequest): Promise<Page<OrganizationRecord>>;
  update(principal: Principal, input: { id: string; name: string }): Promise<OrganizationRecord>;
  /** Throws ORGANIZATION_NOT_FOUND where there is none. Cheap enough for each event: what exists is remembered. */
  require(id: string): Promise<void>;
}

export function createOrganizations({ database, ids }: { database: Database; ids: IdSource }): Organizations {
  // Organizations are never deleted, so what was seen once needs no second look.
  const known = new LRUCache<string, true>({ max: 10_000 });

  async function find(id: string): Promise<OrganizationRecord> {
    const row = await database.em().findOne(OrganizationEntity, { id });
    if (row === null) throw organizationNotFound(id);
    known.set(id, true);
    return row;
  }

  return {
    async create(principal, { name }) {
      requireOperator(principal, "creating an organization");
      const now = new Date(ids.now());
      const organization = { id: newUuid(ids), name, createdAt: now, updatedAt: now };
      await database.em().insert(OrganizationEntity, organization);
      return organization;
    },

    async get(principal, id) {
      organizationOf(principal, id);
      return await find(id);
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
      return pageById(rows, { request, filters, toItem: (row) => row });
    },

    async update(principal, { id, name }) {
      organizationOf(principal, id);
      requireOperator(principal, "changing an organization");
      const em = database.em();
      const row = await em.findOne(OrganizationEntity, { id });
      if (row === null) throw organizationNotFound(id);
      row.name = name;
      row.updatedAt = new Date(ids.now());
      await em.flush();
      return row;
    },

    async require(id) {
      if (!known.has(id)) await find(id);
    },
  };
}

import type { AuditEntry } from "../../domain/audit-entry.ts";
import { firstIdAt } from "../../domain/ids.ts";
import type { Sql, Statement } from "../sql.ts";

/** Which entries of the audit log a page is cut from. Undefined: whichever. */
export interface AuditPageFilters {
  organizationId: string | undefined;
  actorId: string | undefined;
  action: string | undefined;
  /** A UUID. */
  resourceId: string | undefined;
  /** At this time or later. */
  createdAfter: Date | undefined;
  /** Before this time. */
  createdBefore: Date | undefined;
}

export interface AuditPagePlace {
  /** Only entries with an id before this one; undefined: from the newest. */
  before: string | undefined;
  limit: number;
}

/** Entries, newest first. */
export async function readAuditPage(sql: Sql, filters: AuditPageFilters, place: AuditPagePlace): Promise<AuditEntry[]> {
  const { statement, parameters } = auditPageStatement(filters, place);
  return (await sql.query<AuditEntryRow>(statement, parameters)).map(entryOf);
}

/** One entry; of the organization where one is given. */
export async function readAuditEntry(
  sql: Sql,
  { id, organizationId }: { id: string; organizationId: string | undefined },
): Promise<AuditEntry | undefined> {
  const [row] = await sql.query<AuditEntryRow>(readOne, [id, organizationId ?? null]);
  return row && entryOf(row);
}

/**
 * The statement behind a page. Cost: `limit` entries of the index that is made for the filter (audit_entry_resource, audit_entry_actor,
 * audit_entry_action, the latter two also within one organization, audit_entry_organization, or the primary key). Of several filters one has
 * its index, and the others are applied to the entries that are read.
 */
export function auditPageStatement(
  { organizationId, actorId, action, resourceId, createdAfter, createdBefore }: AuditPageFilters,
  { before, limit }: AuditPagePlace,
): { statement: Statement; parameters: unknown[] } {
  const parameters: unknown[] = [];
  const conditions: string[] = [];
  const require = (text: string, value: unknown): void => {
    if (value !== undefined) conditions.push(`${text.replace("?", () => `$${parameters.push(value)}`)}`);
  };
  require("resource_id = ?::uuid", resourceId);
  // With a resource, which is of one organization, this is a check of access alone: written so that it does not call for an index of its own.
  require(`organization_id ${resourceId === undefined ? "=" : "is not distinct from"} ?::uuid`, organizationId);
  require("actor_id = ?::text", actorId);
  require("action = ?::text", action);
  require("id >= ?::uuid", createdAfter && idBound(createdAfter));
  require("id < ?::uuid", createdBefore && idBound(createdBefore));
  require("id < ?::uuid", before);
  const where = conditions.length === 0 ? "" : `where ${conditions.join(" and ")}`;
  const rows = `order by id desc limit $${parameters.push(limit)}::bigint`;
  return { statement: { name: "", text: `select ${columns} from audit_entry ${where} ${rows}` }, parameters };
}

interface AuditEntryRow extends Pick<AuditEntry, "id" | "organizationId" | "action" | "changedFields"> {
  actorKind: string;
  actorId: string;
  address: string | null;
  userAgent: string | null;
  requestId: string | null;
  resourceType: AuditEntry["resource"]["type"];
  resourceId: string | null;
  before: string | null;
  after: string | null;
}

const columns = `
  id, organization_id as "organizationId", actor_kind as "actorKind", actor_id as "actorId", address, user_agent as "userAgent",
  request_id as "requestId", action, resource_type as "resourceType", resource_id as "resourceId", changed_fields as "changedFields",
  before::text, after::text`;

// Index: the primary key.
const readOne = {
  name: "read-audit-entry",
  text: `select ${columns} from audit_entry where id = $1::uuid and ($2::uuid is null or organization_id = $2::uuid)`,
};

function entryOf(row: AuditEntryRow): AuditEntry {
  const { id, organizationId, action, changedFields, before, after, address, userAgent, requestId } = row;
  return {
    id,
    organizationId,
    actor: { kind: row.actorKind, id: row.actorId },
    origin: { address, userAgent, requestId },
    action,
    resource: { type: row.resourceType, id: row.resourceId },
    changedFields,
    before: stateOf(before),
    after: stateOf(after),
  };
}

function stateOf(text: string | null): AuditEntry["before"] {
  return text === null ? null : (JSON.parse(text) as AuditEntry["before"]);
}

/** Ids begin with the time, so a time is a bound of ids. */
function idBound(time: Date): string {
  return firstIdAt(Math.max(0, time.getTime()));
}

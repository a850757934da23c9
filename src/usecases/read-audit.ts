import type { AuditEntry } from "../domain/audit-entry.ts";
import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import { type AuditPageFilters, readAuditEntry, readAuditPage } from "../store/sql/audit-pages.ts";
import { organizationOf, type Principal, requireWholeOrganization } from "./access.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Organizations } from "./organizations.ts";
import { type Page, type PageRequest, pageById, pageSizeOf } from "./page.ts";
import { decodePageToken } from "./page-token.ts";

/** An entry of the audit log as it is stored. */
export type AuditRecord = AuditEntry;

/** Which entries are listed; undefined: whichever. */
export type AuditFilters = AuditPageFilters;

/** The audit log, for reading. An organization sees what was changed of its own, an operator everything. Throws
 * WHOLE_ORGANIZATION_REQUIRED for callers that are kept to a project. */
export interface ReadAudit {
  /** Throws AUDIT_ENTRY_NOT_FOUND. */
  get(principal: Principal, target: { id: string; organizationId: string | undefined }): Promise<AuditRecord>;
  /** Newest first. */
  list(principal: Principal, filters: AuditFilters, request: PageRequest): Promise<Page<AuditRecord>>;
}

export function createReadAudit(
  { database: { sql } }: Pick<Dependencies, "database">,
  organizations: Organizations,
): ReadAudit {
  return {
    async get(principal, { id, organizationId: requested }) {
      requireWholeOrganization(principal, "reading the audit log");
      const organizationId = organizationOf(principal, requested);
      const entry = await readAuditEntry(sql, { id, organizationId });
      if (entry === undefined) throw auditEntryNotFound(id);
      return entry;
    },

    async list(principal, requested, request) {
      requireWholeOrganization(principal, "reading the audit log");
      const organizationId = organizationOf(principal, requested.organizationId);
      if (organizationId !== undefined) await organizations.require(organizationId);
      const filters = { ...requested, organizationId };
      const scope = { list: "audit", ...filters };
      const before = decodePageToken(scope, request.pageToken)?.id;
      const rows = await readAuditPage(sql, filters, { before, limit: pageSizeOf(request) + 1 });
      return pageById(rows, { request, filters: scope, toItem: (row) => row });
    },
  };
}

function auditEntryNotFound(id: string): TellwireError {
  const entryId = publicId("auditEntry", id);
  return new TellwireError("AUDIT_ENTRY_NOT_FOUND", `there is no audit entry ${entryId}`, {
    metadata: { audit_entry_id: entryId },
  });
}

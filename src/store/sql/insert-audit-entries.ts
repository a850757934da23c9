import type { AuditEntry, AuditState } from "../../domain/audit-entry.ts";
import type { Sql } from "../sql.ts";

/** Writes entries of the audit log in the transaction of the changes that they tell of. One that is there already stays as it is. */
export async function insertAuditEntries(
  transaction: Pick<Sql, "query">,
  entries: readonly AuditEntry[],
): Promise<void> {
  if (entries.length === 0) return;
  await transaction.query(statement, [JSON.stringify(entries.map(row))]);
}

/** The names are those of the columns. */
function row({ id, organizationId, actor, origin, action, resource, changedFields, before, after }: AuditEntry) {
  return {
    id,
    organization_id: organizationId,
    actor_kind: actor.kind,
    actor_id: actor.id,
    address: origin.address,
    user_agent: origin.userAgent,
    request_id: origin.requestId,
    action,
    resource_type: resource.type,
    resource_id: resource.id,
    changed_fields: changedFields,
    before: stored(before),
    after: stored(after),
  };
}

/**
 * A state as jsonb takes it. The columns of a resource hold U+FFFD where a text had half of a surrogate pair, because that is what becomes of it in
 * UTF-8; jsonb would refuse the escape.
 */
function stored(state: AuditState | null): unknown {
  return state === null
    ? null
    : JSON.parse(JSON.stringify(state), (_name, value: unknown) =>
        typeof value === "string" ? value.toWellFormed() : value,
      );
}

// Cost: a row and seven index entries for each change. Changes are made by people and their tools, not by events.
const statement = {
  name: "insert-audit-entries",
  text: `
    insert into audit_entry (id, organization_id, actor_kind, actor_id, address, user_agent, request_id, action, resource_type, resource_id,
                             changed_fields, before, after)
    select id, organization_id, actor_kind, actor_id, address, user_agent, request_id, action, resource_type, resource_id, changed_fields,
           before, after
    from jsonb_to_recordset($1::jsonb) as e (
      id uuid, organization_id uuid, actor_kind text, actor_id text, address text, user_agent text, request_id text, action text,
      resource_type text, resource_id uuid, changed_fields text[], before jsonb, after jsonb)
    on conflict (id) do nothing`,
};

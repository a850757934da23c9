import { Migration } from "@mikro-orm/migrations";

/** The audit log. */
export class AuditLog extends Migration {
  override up(): void {
    for (const statement of statements) {
      this.addSql(statement);
    }
  }
}

const statements = [
  // Who changed what, from where, and how it was before. Ids begin with the time of the change, which is in no column of its own. In no partitions:
  // there is a row for each change that somebody makes, not for each event, and what is past its retention goes in small batches.
  `create table audit_entry (
    id uuid primary key,
    organization_id uuid,
    actor_kind text not null,
    actor_id text not null,
    address text,
    user_agent text,
    request_id text,
    action text not null,
    resource_type text not null,
    resource_id uuid,
    changed_fields text[] not null,
    before jsonb,
    after jsonb
  )`,
  // One for each filter of a list, in the order of the list, of one organization and of all of them.
  `create index audit_entry_organization on audit_entry (organization_id, id desc)`,
  `create index audit_entry_resource on audit_entry (resource_id, id desc)`,
  `create index audit_entry_actor on audit_entry (actor_id, id desc)`,
  `create index audit_entry_actor_organization on audit_entry (organization_id, actor_id, id desc)`,
  `create index audit_entry_action on audit_entry (action, id desc)`,
  `create index audit_entry_action_organization on audit_entry (organization_id, action, id desc)`,

  // Entries are added, and removed when their time is over. Nothing changes one.
  `create function refuse_change_of_audit_entry() returns trigger language plpgsql as $$
  begin
    raise exception 'audit entries are never changed';
  end $$`,
  `create trigger audit_entry_append_only before update on audit_entry
     for each row execute function refuse_change_of_audit_entry()`,
];

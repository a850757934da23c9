import { Migration } from "@mikro-orm/migrations";

/** What a key may be used for, in which project, and when it was last used. Keys from before may do everything that there was to do. */
export class KeyAccess extends Migration {
  override up(): void {
    this.addSql(`alter table api_key
      add column scopes text[] not null default '{${everything.join(",")}}',
      add column project_id text,
      add column last_used_at timestamptz`);
    this.addSql("alter table api_key alter column scopes drop default");
  }
}

/** Written out: a scope that is added later is none that these keys were given. */
const everything = [
  "webhooks:read",
  "webhooks:write",
  "secrets:rotate",
  "events:read",
  "events:publish",
  "deliveries:read",
  "deliveries:retry",
  "keys:read",
  "keys:write",
  "audit:read",
];

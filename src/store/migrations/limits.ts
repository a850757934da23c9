import { Migration } from "@mikro-orm/migrations";

/** Limits of single organizations, and what they published. */
export class OrganizationLimits extends Migration {
  override up(): void {
    for (const statement of statements) {
      this.addSql(statement);
    }
  }
}

const statements = [
  // null: the server's own limits hold.
  "alter table organization add column limits jsonb",

  // How many events an organization published on a day of UTC. Rewritten in place again and again: room on each page, so that updates stay on
  // it (HOT), and no index on what changes.
  `create table published_events (
    organization_id uuid not null,
    day date not null,
    events bigint not null,
    primary key (organization_id, day)
  ) with (fillfactor = 50)`,
  // For the removal of old days.
  "create index published_events_day on published_events (day)",

  // What tells the messages that this deployment published itself, and has counted, from those of publishers on NATS, who cannot know it.
  "create table publisher_mark (mark text primary key)",
  "insert into publisher_mark (mark) values (gen_random_uuid()::text)",
];

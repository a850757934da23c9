import { Migration } from "@mikro-orm/migrations";

/**
 * Less for Postgres to count. By itself it reads a sample of 30,000 rows and sorts each of its columns, whenever a table has grown by a tenth: of a
 * day's events and deliveries in one go, most of a second of a processor, which whoever delivers meanwhile has to do without. A sample of 6,000 is enough
 * for statements that find their rows by an index, and no statement chooses its way by the columns that are left out. A partition that is there already
 * is set with its table, and a later one is made like it (partitions.ts). Nobody who reads or writes has to wait for it.
 */
export class ColumnStatistics extends Migration {
  override up(): void {
    for (const [table, { counted, leftOut }] of Object.entries(columns)) {
      const targets = [...setTo(20, counted), ...setTo(0, leftOut)];
      this.addSql(`alter table ${table} ${targets.join(", ")}`);
    }
  }
}

function setTo(target: number, names: string): string[] {
  return names.split(" ").map((name) => `alter column ${name} set statistics ${target}`);
}

/** Names with a space in between. */
const columns: Readonly<Record<string, { counted: string; leftOut: string }>> = {
  event: {
    counted: "id organization_id external_id type project_id ordering_key replay_of audience received_at",
    leftOut: "data_json source subject traceparent occurred_at",
  },
  delivery: {
    counted:
      "id organization_id webhook_id event_id event_type status attempt_count created_at completed_at attempt_id",
    leftOut:
      "status_reason last_status_code attempt_started_at attempt_latency_ms attempt_status_code attempt_response_body attempt_url",
  },
  attempt: {
    counted: "id delivery_id number",
    leftOut: "trigger started_at latency_ms status_code error error_message response_body url",
  },
  scheduled_delivery: {
    counted:
      "id organization_id webhook_id event_id event_type attempt_count next_attempt_at created_at ordering_key sequence",
    leftOut: "manual_retry last_status_code",
  },
};

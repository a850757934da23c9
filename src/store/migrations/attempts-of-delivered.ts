import { Migration } from "@mikro-orm/migrations";

/**
 * A delivery that arrives at its first attempt is one row, which holds that attempt. All of these columns are set, or none is. They are nullable
 * and without a default: no row is written anew.
 */
export class AttemptsOfDelivered extends Migration {
  override up(): void {
    this.addSql(`
      alter table delivery
        add column attempt_id uuid,
        add column attempt_started_at timestamptz,
        add column attempt_latency_ms double precision,
        add column attempt_status_code integer,
        add column attempt_response_body bytea,
        add column attempt_url text`);
  }
}

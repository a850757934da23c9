import { Migration } from "@mikro-orm/migrations";

/** Whether anybody has operational events in work is asked for each batch of them: without an index, the whole table is read. */
export class ClaimedOperationalEvents extends Migration {
  override up(): void {
    this.addSql(
      "create index operational_event_claimed on operational_event (claimed_until) where claimed_until is not null",
    );
  }
}

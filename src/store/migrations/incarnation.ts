import { Migration } from "@mikro-orm/migrations";

/**
 * A name for the time between two crashes of the database. The table is unlogged: Postgres empties it whenever it recovers from a crash, on a standby that
 * takes over too, and whatever was committed without waiting for the disk may be gone then.
 */
export class IncarnationOfDatabase extends Migration {
  override up(): void {
    this.addSql(
      "create unlogged table incarnation (id uuid not null, one boolean primary key default true check (one))",
    );
  }
}

import { firstIdAt } from "../domain/ids.ts";
import type { Sql } from "./sql.ts";

/** The tables that stand in partitions of a day (UTC): events by their receipt, deliveries and attempts by their ids, which begin with a time. */
export const PARTITIONED_TABLES = ["event", "delivery", "attempt"] as const;

export type PartitionedTable = (typeof PARTITIONED_TABLES)[number];

/**
 * The days whose partitions are there at any time: yesterday, for what was received just before midnight, and a week ahead, so that a service
 * that fails to make new ones for days still has somewhere to write.
 */
export const partitionsAtHand = { daysBefore: 1, daysAhead: 7 } as const;

export interface EnsurePartitionsOptions {
  /** Milliseconds since the epoch. */
  now: number;
  /** How many days before today. */
  daysBefore: number;
  /** How many days after today. */
  daysAhead: number;
}

/**
 * Makes the partitions of these days and of today where they are missing, and returns the names of the new ones (`event_20261122`). Safe in
 * several processes at once. Nobody who reads or writes has to wait: a partition is made as a table of its own, and attaching one takes
 * SHARE UPDATE EXCLUSIVE on its parent (https://www.postgresql.org/docs/current/sql-altertable.html).
 */
export async function ensurePartitions(
  sql: Sql,
  { now, daysBefore, daysAhead }: EnsurePartitionsOptions,
): Promise<string[]> {
  const wanted = daysAround(now, daysBefore, daysAhead).flatMap((day) =>
    PARTITIONED_TABLES.map((table) => ({ table, day, name: partitionName(table, day) })),
  );
  // Nearly always everything is there, and one read of the catalogue is all.
  if ((await missingOf(sql, wanted)).length === 0) return [];
  return await sql.transaction(async (transaction) => {
    await transaction.query(lockPartitions, []);
    // Read again under the lock: another process may have made them in the meantime.
    const missing = await missingOf(transaction, wanted);
    for (const partition of missing) await createPartition(transaction, partition);
    return missing.map(({ name }) => name);
  });
}

/** A day's partition of a table. */
export interface Partition {
  table: PartitionedTable;
  /** The day's first millisecond (UTC) since the epoch. */
  day: number;
  name: string;
}

/** The name of the partition of the day that begins at this millisecond: `event_20261122`. */
export function partitionName(table: PartitionedTable, day: number): string {
  return `${table}_${new Date(day).toISOString().slice(0, 10).replaceAll("-", "")}`;
}

/** The partition that has this name; undefined where it is the name of none. */
export function partitionOf(name: string): Partition | undefined {
  const [, table, year, month, date] = /^([a-z]+)_(\d{4})(\d\d)(\d\d)$/.exec(name) ?? [];
  const known = PARTITIONED_TABLES.find((each) => each === table);
  return known && { table: known, day: Date.UTC(Number(year), Number(month) - 1, Number(date)), name };
}

/** From where to before where the rows of a day stand: times of receipt, or the ids that begin with such times. */
export function boundsOf({ table, day }: Pick<Partition, "table" | "day">): { from: string; to: string } {
  const bound = table === "event" ? (ms: number) => new Date(ms).toISOString() : firstIdAt;
  return { from: bound(day), to: bound(day + dayMs) };
}

/** The milliseconds of a day. */
export const dayMs = 24 * 60 * 60_000;

function daysAround(now: number, daysBefore: number, daysAhead: number): number[] {
  const today = now - (now % dayMs);
  return Array.from({ length: daysBefore + 1 + daysAhead }, (_, index) => today + (index - daysBefore) * dayMs);
}

async function missingOf(sql: Sql, wanted: readonly Partition[]): Promise<Partition[]> {
  const attached = await sql.query<{ name: string }>(attachedPartitions, [wanted.map(({ name }) => name)]);
  const names = new Set(attached.map(({ name }) => name));
  return wanted.filter(({ name }) => !names.has(name));
}

/** The names come from the list of tables and from a date, so they may stand in the statement as they are. */
async function createPartition(sql: Sql, { table, day, name }: Partition): Promise<void> {
  const run = (text: string) => sql.query({ name: "", text }, []);
  // One of that name which stands alone was detached to be dropped, and the process ended in between.
  await run(`drop table if exists ${name}`);
  await run(`create table ${name} (like ${table} including all)`);
  // What Postgres counts of a column is not copied with all the rest.
  const targets = await sql.query<{ column: string; target: number }>(statisticsTargets, [table]);
  const counted = targets.map(({ column, target }) => `alter column ${column} set statistics ${target}`);
  if (counted.length > 0) await run(`alter table ${name} ${counted.join(", ")}`);
  // A partitioned table can have no unique index without its partition key, which an event's id is not.
  if (table === "event") await run(`create unique index ${name}_id on ${name} (id, organization_id)`);
  const { from, to } = boundsOf({ table, day });
  await run(`alter table ${table} attach partition ${name} for values from ('${from}') to ('${to}')`);
}

const attachedPartitions = {
  name: "attached_partitions",
  text: `select child.relname as name
    from pg_inherits join pg_class child on child.oid = inhrelid
    where inhparent in ('event'::regclass, 'delivery'::regclass, 'attempt'::regclass) and child.relname = any($1)`,
};

/** Of the columns that have one of their own: -1, or null from Postgres 17 on, is that of the server. */
const statisticsTargets = {
  name: "statistics_targets",
  text: `select attname as column, attstattarget::integer as target from pg_attribute
    where attrelid = $1::regclass and attnum > 0 and not attisdropped and attstattarget >= 0`,
};

/** Held until the transaction ends. The numbers mean nothing but "Tellwire" and "its partitions". */
const lockPartitions = { name: "lock_partitions", text: "select pg_advisory_xact_lock(1952803948, 1)" };

import { firstIdAt } from "../domain/ids.ts";
import {
  boundsOf,
  dayMs,
  PARTITIONED_TABLES,
  type Partition,
  type PartitionedTable,
  partitionName,
  partitionOf,
  partitionsAtHand,
} from "./partitions.ts";
import { removeHeldAttempts } from "./sql/remove-held-attempts.ts";
import type { Sql } from "./sql.ts";

export interface Retention {
  /** How long events are kept, with their payloads. */
  payloadRetentionMs: number;
  /** How long deliveries and attempts are kept; never shorter than the payloads, from which they could be made again. */
  recordRetentionMs: number;
}

export interface DropExpiredOptions extends Retention {
  /** Milliseconds since the epoch. */
  now: number;
  /** How long to wait for those who began to read before a partition was detached. Undefined: 5 s. */
  patienceMs?: number;
  /** Whether to leave the rest to the next run. Undefined: never. */
  isStopping?: () => boolean;
}

/** The names of partitions (`event_20261122`). */
export interface DroppedPartitions {
  dropped: string[];
  /** Somebody was reading for too long, or there was no time for it: to be tried again. */
  postponed: string[];
}

/**
 * Drops the partitions whose whole day is past its retention, payloads before records. A day with a delivery that is still to be sent keeps its
 * events and its deliveries, without the attempts that these hold, and today and yesterday always stay. Nobody who reads or writes has to wait: a partition is detached
 * concurrently, and is dropped when it stands alone. One process at a time, on a session (`Database.exclusively`); what an interrupted one
 * left behind is finished.
 */
export async function dropExpired(
  session: Sql,
  { now, patienceMs = 5_000, isStopping = () => false, ...retention }: DropExpiredOptions,
): Promise<DroppedPartitions> {
  const outcome: DroppedPartitions = { dropped: [], postponed: [] };
  await session.query(waitBriefly, [`${patienceMs}ms`]);
  for (const partition of await expiredPartitions(session, { now, ...retention })) {
    const result = await dropPartition(session, partition, isStopping);
    if (result !== "kept") outcome[result].push(partition.name);
    // Who makes one wait would make the others wait too.
    if (result === "postponed") break;
  }
  await session.query(waitAsBefore, []);
  return outcome;
}

/** `detaching`: a process ended while it detached it. `alone`: it is detached, and was not dropped. */
type Attachment = "attached" | "detaching" | "alone";

interface FoundPartition extends Partition {
  attachment: Attachment;
}

async function expiredPartitions(
  session: Sql,
  { now, payloadRetentionMs, recordRetentionMs }: Retention & { now: number },
): Promise<FoundPartition[]> {
  const recordsMs = Math.max(recordRetentionMs, payloadRetentionMs);
  const retentionMs = { event: payloadRetentionMs, delivery: recordsMs, attempt: recordsMs };
  const firstAtHand = now - (now % dayMs) - partitionsAtHand.daysBefore * dayMs;
  const rows = await session.query<{ name: string; attachment: Attachment }>(readPartitions, []);
  return rows
    .flatMap(({ name, attachment }) => {
      const partition = partitionOf(name);
      return partition === undefined ? [] : [{ ...partition, attachment }];
    })
    .filter(({ table, day }) => day + dayMs <= now - retentionMs[table] && day < firstAtHand)
    .sort((one, other) => one.day - other.day || order(one.table) - order(other.table));
}

function order(table: PartitionedTable): number {
  return PARTITIONED_TABLES.indexOf(table);
}

async function dropPartition(
  session: Sql,
  partition: FoundPartition,
  isStopping: () => boolean,
): Promise<"dropped" | "postponed" | "kept"> {
  const { table, name, attachment } = partition;
  if (attachment === "attached" && (await isNeeded(session, partition))) return "kept";
  try {
    // Before those that stand by themselves, so that this is done again until it was done once.
    if (table === "attempt" && !(await removeAttemptsOf(session, partition, isStopping))) return "postponed";
    if (attachment === "attached") await run(session, `alter table ${table} detach partition ${name} concurrently`);
    if (attachment === "detaching") await run(session, `alter table ${table} detach partition ${name} finalize`);
    // Everybody who could still see its rows has ended. Where one of them scheduled a delivery of that day again, the day stays.
    if (await isNeeded(session, partition)) {
      const { from, to } = boundsOf(partition);
      await run(session, `alter table ${table} attach partition ${name} for values from ('${from}') to ('${to}')`);
      return "kept";
    }
    await run(session, `drop table ${name}`);
    return "dropped";
  } catch (error) {
    if (isLockTimeout(error)) return "postponed";
    throw error;
  }
}

/** Whether something is still to be sent that was received on this day. Its deliveries stay for as long as its events, too. */
async function isNeeded(session: Sql, { table, day }: Partition): Promise<boolean> {
  if (table === "attempt") return false;
  const [found] = await session.query<{ isNeeded: boolean }>(findNeed, [
    firstIdAt(day),
    firstIdAt(day + dayMs),
    table === "delivery" ? partitionName("event", day) : null,
  ]);
  return found?.isNeeded === true;
}

/** Removes the attempts that the day's deliveries hold, where these stay for longer. False where it is stopped before the end. */
async function removeAttemptsOf(session: Sql, { day }: Partition, isStopping: () => boolean): Promise<boolean> {
  const { from: after, to: before } = boundsOf({ table: "delivery", day });
  let last: string | undefined = after;
  while (last !== undefined && !isStopping()) {
    last = await removeHeldAttempts(session, { after: last, before, limit: removedAtOnce });
  }
  return last === undefined;
}

const removedAtOnce = 1_000;

async function run(session: Sql, text: string): Promise<void> {
  await session.query({ name: "", text }, []);
}

/** SQLSTATE lock_not_available. */
function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "55P03";
}

// Detaching waits for everybody who began to use the table before. A report or a dump may take hours: the partition is finished later.
const waitBriefly = { name: "", text: "select set_config('lock_timeout', $1, false)" };
const waitAsBefore = { name: "", text: "reset lock_timeout" };

// Those of the tables' own schema, attached or not.
const readPartitions = {
  name: "",
  text: `
    select c.relname as name,
      case when i.inhrelid is null then 'alone' when i.inhdetachpending then 'detaching' else 'attached' end as attachment
    from pg_class c left join pg_inherits i on i.inhrelid = c.oid
    where c.relkind = 'r' and c.relname ~ '^(event|delivery|attempt)_[0-9]{8}$'
      and c.relnamespace = (select relnamespace from pg_class where oid = 'event'::regclass)`,
};

// Index: the primary key of scheduled_delivery, whose ids begin with the time.
const findNeed = {
  name: "",
  text: `
    select exists (select from scheduled_delivery where id >= $1::uuid and id < $2::uuid)
      or exists (select from pg_inherits where inhparent = 'event'::regclass and inhrelid = to_regclass($3::text)) as "isNeeded"`,
};

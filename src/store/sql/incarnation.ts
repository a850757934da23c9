import type { Sql } from "../sql.ts";

/**
 * The time between two crashes of the database, by its id. What is committed in one without waiting for the disk (`unflushed`) is safe as soon as anything
 * that does wait is committed in the same one after it: Postgres writes its log in order. After a crash the table `incarnation` is empty, and
 * the next id is another one.
 */
export type Incarnation = string;

/** Names the present incarnation, unless it has a name, or the name would not be forgotten in a crash. */
export async function nameIncarnation(sql: Sql): Promise<void> {
  await sql.query(name, []);
}

/**
 * Returns the incarnation in which everything is safe that was committed before the call; undefined where it has no name, and everything was that waited for
 * the disk.
 */
export async function flushIncarnation(sql: Sql): Promise<Incarnation | undefined> {
  const [row] = await sql.query<{ id: Incarnation | null }>(flush, []);
  return row?.id ?? undefined;
}

/**
 * For a `with` of a statement that is a transaction of its own: has it commit without waiting for the disk where the incarnation has a name, which
 * `select id from unflushed` tells; else that is empty, and the statement waits as ever.
 */
export const unflushed = `unflushed as materialized (
      select id from (
        select id, set_config('synchronous_commit', 'off', true) as setting from incarnation where one offset 0
      ) i where setting = 'off'
    )`;

/** Of the present incarnation. By its index also where a plan is to read no table as a whole (`Statement.plannedOnce`). */
export const presentIncarnation = "(select id from incarnation where one)";

// Amazon Aurora, which alone has this function, keeps the rows of unlogged tables in a crash, and loses what did not wait for the disk all the same. And
// whoever moves a database is told at times to have all tables logged before. There nothing has a name, and events wait for the disk.
const name = {
  name: "name-incarnation",
  text: `
    insert into incarnation (id)
    select gen_random_uuid() from pg_class
    where oid = 'incarnation'::regclass and relpersistence = 'u' and not exists (select from pg_proc where proname = 'aurora_version')
    on conflict do nothing`,
};

// A message of no meaning in the log has the commit wait for the disk, as any other row would, and leaves nothing behind.
const flush = {
  name: "flush-incarnation",
  text: `select ${presentIncarnation}, pg_logical_emit_message(true, 'tellwire', '') is not null as is_written`,
};

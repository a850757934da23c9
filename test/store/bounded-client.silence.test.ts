import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import pg from "pg";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { boundedClient, SilentDatabaseError } from "../../src/store/bounded-client.ts";
import { isDatabaseUnavailable } from "../../src/usecases/database-failure.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let testDatabase: TestDatabase;
let pool: pg.Pool | undefined;
beforeAll(async () => {
  testDatabase = await createTestDatabase();
});
afterEach(async () => {
  await pool?.end();
});
afterAll(async () => {
  await testDatabase.drop();
});

/** Long enough for a busy database to answer, and far shorter than what it is asked to sleep. */
const briefMs = 3_000;

function openPool(timeoutMs: number): pg.Pool {
  pool = new pg.Pool({ connectionString: testDatabase.url, max: 1, Client: boundedClient(timeoutMs) });
  pool.on("error", () => {});
  return pool;
}

test("a statement that the database does not answer fails in time, and the next one goes by another connection", async () => {
  const pool = openPool(briefMs);
  const [before] = (await pool.query("select pg_backend_pid() as pid")).rows;
  const failure = await pool.query("select pg_sleep(600)").catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(SilentDatabaseError);
  expect(isDatabaseUnavailable(failure)).toBe(true);
  const [after] = (await pool.query("select pg_backend_pid() as pid")).rows;
  expect(after.pid).not.toBe(before.pid);
});

test("a client that was taken out of the pool fails in the same way", async () => {
  const client = await openPool(briefMs).connect();
  client.on("error", () => {});
  await client.query("begin");
  await expect(client.query({ text: "select pg_sleep(600)", values: [] })).rejects.toThrow(SilentDatabaseError);
  await expect(client.query("rollback")).rejects.toThrow();
  client.release(true);
});

test("what the database refuses is told as it tells it", async () => {
  await expect(openPool(60_000).query("select nothing_there")).rejects.toMatchObject({ code: "42703" });
});

test("callbacks get answers as promises do", async () => {
  const pool = openPool(60_000);
  const rows = await new Promise((resolve, reject) => {
    pool.query("select $1::int as number", [7], (error, result) => (error ? reject(error) : resolve(result.rows)));
  });
  expect(rows).toEqual([{ number: 7 }]);
});

test("queries that are answered are collected while they are young", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { type: "minor" | "major" }) => void;
  const pool = openPool(60_000);
  const query = async (number: number): Promise<void> => {
    const numbers = Array.from({ length: 4_000 }, (_, index) => number * 1_000 + index);
    await pool.query({ name: "length", text: "select cardinality($1::bigint[])", values: [numbers] });
  };
  for (let number = 0; number < 200; number++) await query(number);
  collect({ type: "major" });
  const before = process.memoryUsage().heapUsed;
  for (let number = 0; number < 800; number++) {
    await query(number);
    if (number % 50 === 0) collect({ type: "minor" });
  }
  collect({ type: "minor" });
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(15_000_000);
});

import { expect, test } from "vitest";
import { type Connection, createConnectionPool } from "../../src/outbound/connection-pool.ts";
import { heapGrowth } from "../support/heap-growth.ts";

/** Of connections that are never used, so that none is opened. */
function createPool(limits: { maxIdlePerOrigin?: number; maxIdle?: number } = {}) {
  const connector = () => {
    throw new Error("nothing is sent here");
  };
  const pool = createConnectionPool({
    connector,
    maxIdlePerOrigin: 1_000,
    maxIdle: 5_000,
    idleTimeoutMs: 60_000,
    maxAgeMs: 600_000,
    ...limits,
  });
  return pool;
}

const [here, there] = ["http://here.test", "http://there.test"] as const;

test("the connection used last is taken first, and those of another origin never", () => {
  const pool = createPool();
  const [first, second, other] = [pool.open(here), pool.open(here), pool.open(there)];
  for (const connection of [first, second, other]) connection.release();
  expect(pool.acquire(here)).toBe(second);
  expect(pool.acquire(here)).toBe(first);
  expect([first, second, other]).not.toContain(pool.acquire(here));
  expect(pool.acquire(there)).toBe(other);
});

test("beyond the most that may wait the one that has waited longest is closed, whatever its origin", () => {
  const pool = createPool({ maxIdle: 2 });
  const [first, second, third] = [pool.open(there), pool.open(here), pool.open(here)];
  for (const connection of [first, second]) connection.release();
  // Waits for less time than the second one from now on.
  expect(pool.acquire(there)).toBe(first);
  first.release();
  third.release();
  expect(pool.acquire(there)).toBe(first);
  expect(pool.acquire(here)).toBe(third);
  expect(pool.acquire(here)).not.toBe(second);
});

test("beyond the most of one origin its one that has waited longest is closed", () => {
  const pool = createPool({ maxIdlePerOrigin: 2 });
  const other = pool.open(there);
  other.release();
  const all = [pool.open(here), pool.open(here), pool.open(here)] as const;
  for (const connection of all) connection.release();
  expect(pool.acquire(there)).toBe(other);
  expect([pool.acquire(here), pool.acquire(here)]).toEqual([all[2], all[1]]);
  expect(pool.acquire(here)).not.toBe(all[0]);
});

test("a connection that was closed while it waited is not handed out", () => {
  const pool = createPool();
  const [first, second] = [pool.open(here), pool.open(here)];
  first.release();
  second.release();
  second.destroy();
  second.destroy();
  expect(pool.acquire(here)).toBe(first);
  first.destroy();
  const next = pool.open(here);
  next.release();
  expect(pool.acquire(here)).toBe(next);
});

test.each([
  { what: "one origin", origins: [here] },
  { what: "many origins", origins: Array.from({ length: 100 }, (_, number) => `http://receiver-${number}.test`) },
])(
  "taking and giving back connections of $what leaves nothing to collect among the old objects",
  async ({ origins }) => {
    const pool = createPool();
    const use = (number: number): void => {
      const origin = origins[number % origins.length]!;
      const inUse: Connection[] = [];
      for (let count = 0; count < 20; count++) inUse.push(pool.acquire(origin));
      for (const connection of inUse) connection.release();
    };
    for (let number = 0; number < 200; number++) use(number);
    expect(await heapGrowth(10_000, use)).toBeLessThan(500_000);
  },
);

import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { CallRate } from "../../src/domain/call-rate.ts";
import type { Database } from "../../src/store/database.ts";
import { type AccessChannel, createAccessChannel } from "../../src/usecases/access-channel.ts";
import { createSharedRates, type SharedRates } from "../../src/usecases/shared-rates.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

let testDatabase: TestDatabase;
let database: Database;
beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openTestPostgres(testDatabase.url, { maxConnections: 4 });
});
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

interface Process {
  rates: SharedRates;
  channel: AccessChannel;
  /** How many messages it has sent. */
  sent: () => number;
  /** Moves its clock. */
  advance(ms: number): void;
  call(key: string, rate: CallRate): boolean;
}

/** As a process of its own has it: a channel on a connection of its own, and a clock that only the test moves. */
async function startProcess(name = "calls", startsAt = 1_000): Promise<Process> {
  const channel = createAccessChannel(database.sql);
  let [sent, now] = [0, startsAt];
  const counted: AccessChannel = {
    ...channel,
    publish: async (...message) => {
      sent += 1;
      await channel.publish(...message);
    },
  };
  const rates = createSharedRates({
    channel: counted,
    name,
    processId: randomUUID(),
    maxKeys: 1_000,
    elapsed: () => now,
    onFailure: (error) => expect.unreachable(String(error)),
  });
  await channel.start();
  stops.push(async () => {
    rates.stop();
    await channel.stop();
  });
  return {
    rates,
    channel,
    sent: () => sent,
    advance: (ms) => {
      now += ms;
    },
    call(key, rate) {
      const { admitted } = rates.look(key, rate);
      if (admitted) rates.count(key, rate);
      return admitted;
    },
  };
}

const hourly: CallRate = { count: 3_600, periodMs: 3_600_000, burst: 10 };

test("what one process admits, the others do not admit again, whatever their clocks show", async () => {
  const one = await startProcess();
  const other = await startProcess("calls", 9_999_999);
  for (let calls = 0; calls < 10; calls += 1) expect(one.call("key", hourly)).toBe(true);
  expect(one.call("key", hourly)).toBe(false);
  await waitFor(() => !other.rates.look("key", hourly).admitted, { what: "the other process to hear of it" });
  expect(other.rates.look("key", hourly)).toMatchObject({ remaining: 0 });
  other.advance(1_000);
  expect(other.call("key", hourly), "one second later there is room for one more").toBe(true);
  expect(other.call("key", hourly)).toBe(false);
});

test("other callers, and other kinds of limits, have nothing to do with it", async () => {
  const one = await startProcess();
  const other = await startProcess();
  const logins = await startProcess("logins");
  for (let calls = 0; calls < 10; calls += 1) one.call("key", hourly);
  await waitFor(() => !other.rates.look("key", hourly).admitted);
  expect(other.rates.look("another", hourly)).toMatchObject({ remaining: 9 });
  expect(logins.rates.look("key", hourly)).toMatchObject({ remaining: 9 });
});

test("many calls go in one message, and none is sent while nobody calls", async () => {
  const one = await startProcess();
  const other = await startProcess();
  const rate: CallRate = { count: 1_000, periodMs: 3_600_000, burst: 16 };
  for (let key = 0; key < 100; key += 1) for (let calls = 0; calls < 16; calls += 1) one.call(`key ${key}`, rate);
  await waitFor(() => !other.rates.look("key 99", rate).admitted);
  expect(one.sent()).toBe(1);
  expect(other.sent(), "what it heard it does not tell again").toBe(0);
});

test("names of any letters reach the others, however many there are", async () => {
  const one = await startProcess();
  const other = await startProcess();
  const keyOf = (caller: number): string => `EXTERNAL_TOKEN ${caller} ${'店"'.repeat(120)}`;
  for (let caller = 0; caller < 40; caller += 1) {
    for (let calls = 0; calls < 10; calls += 1) one.call(keyOf(caller), hourly);
  }
  for (let caller = 0; caller < 40; caller += 1) {
    await waitFor(() => !other.rates.look(keyOf(caller), hourly).admitted, { what: `caller ${caller} to be heard of` });
  }
});

test("a process tells nothing of a caller until a sixteenth of the burst has come together", async () => {
  const one = await startProcess();
  const other = await startProcess();
  const rate: CallRate = { count: 3_600, periodMs: 3_600_000, burst: 160 };
  for (let calls = 0; calls < 9; calls += 1) one.call("quiet", rate);
  for (let calls = 0; calls < 10; calls += 1) one.call("loud", rate);
  await waitFor(() => other.rates.look("loud", rate).remaining === 149);
  expect(other.rates.look("quiet", rate)).toMatchObject({ remaining: 159 });
  one.call("quiet", rate);
  await waitFor(() => other.rates.look("quiet", rate).remaining === 149, { what: "all ten of them" });
});

test("more callers than are remembered take no more memory, and push out those that called first", async () => {
  const one = await startProcess();
  for (let calls = 0; calls < 10; calls += 1) one.call("first", hourly);
  for (let address = 0; address < 1_000; address += 1) one.call(`address ${address}`, hourly);
  expect(one.rates.look("first", hourly)).toMatchObject({ remaining: 9 });
  expect(one.rates.look("address 999", hourly)).toMatchObject({ remaining: 8 });
});

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { waitForRoomInDay } from "../support/day.ts";
import { type PrivateNats, patienceMs, startNats } from "../support/nats.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

let nats: PrivateNats;
let connection: NatsConnection;
let database: TestDatabase;
/** Two of one deployment, on Postgres and NATS. */
let processes: TellwireProcess[];
let operator: RestClient;
beforeAll(async () => {
  [nats, database] = await Promise.all([startNats(), createTestDatabase()]);
  const settings = tellwireSettings({
    TELLWIRE_DATABASE_URL: database.url,
    TELLWIRE_NATS_URL: nats.url,
    TELLWIRE_RATE_LIMIT_PER_KEY: "off",
    TELLWIRE_RATE_LIMIT_PER_ORGANIZATION: "1600/h",
  });
  processes = await Promise.all([startTellwire(settings), startTellwire(settings)]);
  connection = await connect({ servers: nats.url, timeout: patienceMs });
  operator = createRestClient(processes[0]!.httpUrl, processes[0]!.operatorKey);
});
afterAll(async () => {
  await connection?.close();
  for (const tellwire of processes ?? []) await tellwire.stop();
  await nats?.stop();
  await database?.drop();
});

async function tenant(limits: object = {}): Promise<{ id: string; key: string }> {
  const { id } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Acme", limits });
  const { key } = await operator<{ key: string }>("POST", `/v1/organizations/${id}/api-keys`, { name: "test" });
  return { id, key };
}

async function call(tellwire: TellwireProcess, key: string, path = "/v1/webhooks", body?: object): Promise<number> {
  return (await answerOf(tellwire, key, path, body)).status;
}

/** With how many calls are left, as this process knows it. */
async function answerOf(
  tellwire: TellwireProcess,
  key: string,
  path = "/v1/webhooks",
  body?: object,
): Promise<{ status: number; remaining: number }> {
  const response = await fetch(`${tellwire.httpUrl}${path}`, {
    headers: { "x-api-key": key, "content-type": "application/json" },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  await response.arrayBuffer();
  const [, remaining] = /"organization";r=(\d+)/.exec(response.headers.get("ratelimit") ?? "") ?? [];
  return { status: response.status, remaining: Number(remaining) };
}

test("calls at two processes together are bounded by one limit, but for what they admit before they hear of each other", async () => {
  const { key } = await tenant();
  const fromMs = performance.now();
  const limit = () => 1_600 * (1 + (performance.now() - fromMs) / 3_600_000);
  // A sixteenth of the burst, of which a process tells nobody.
  const silent = 100;
  let [admitted, refused, asked] = [0, 0, 0];
  const callAt = async (tellwire: TellwireProcess): Promise<number> => {
    const { status, remaining } = await answerOf(tellwire, key);
    if (status === 200) admitted += 1;
    else if (status === 429) refused += 1;
    else throw new Error(`${status}`);
    return remaining;
  };
  const callManyTimes = async (tellwire: TellwireProcess): Promise<void> => {
    for (let calls = 0; calls < 50; calls += 1) await callAt(tellwire);
  };
  // The news takes as long as it takes on this machine: each hears of the other before both go on.
  const hasHeard = async (tellwire: TellwireProcess): Promise<boolean> => {
    asked += 1;
    return (await callAt(tellwire)) <= Math.max(0, limit() + silent - admitted) + 1;
  };
  while (refused < 40) {
    await Promise.all(processes.map(callManyTimes));
    for (const each of processes) await waitFor(() => hasHeard(each), { what: "the news of the other process" });
  }
  expect(admitted).toBeGreaterThanOrEqual(1_600);
  expect(admitted).toBeLessThan(limit() + silent + 50 * processes.length + asked);
  await waitFor(async () =>
    (await Promise.all(processes.map((each) => call(each, key)))).every((status) => status === 429),
  );
});

test("an organization's own limit holds at once at every process", async () => {
  const { id, key } = await tenant();
  for (const each of processes) expect(await call(each, key)).toBe(200);
  await operator("PATCH", `/v1/organizations/${id}`, { limits: { calls: { count: 1, period: "3600s" } } });
  await waitFor(async () =>
    (await Promise.all(processes.map((each) => call(each, key)))).every((status) => status === 429),
  );
  await operator("PATCH", `/v1/organizations/${id}`, { limits: null });
  await waitFor(async () =>
    (await Promise.all(processes.map((each) => call(each, key)))).every((status) => status === 200),
  );
});

interface Usage {
  eventsToday: { used?: string; limit?: string };
}

async function usedToday(id: string): Promise<number> {
  const { eventsToday } = await operator<Usage>("GET", `/v1/organizations/${id}/usage`);
  return Number(eventsToday.used ?? 0);
}

test("a day's quota holds for both processes, the API and NATS together; what is too many on NATS is kept as rejected", async () => {
  await waitForRoomInDay(60_000);
  const { id, key } = await tenant({ maxEventsPerDay: "20" });
  const event = { type: "order.paid", data: {} };
  for (let count = 0; count < 10; count += 1) expect(await call(processes[0]!, key, "/v1/events", event)).toBe(200);
  await waitFor(async () => (await usedToday(id)) === 10, { what: "the count in the database" });
  const js = jetstream(connection, { timeout: patienceMs });
  const fromMs = performance.now();
  for (let count = 0; count < 30; count += 1) await js.publish(`tellwire.events.${id}.order.paid`, "{}");
  const rejected = await waitFor(async () => {
    const found = await rejectedOf(id);
    const stored = await eventsOf(id);
    return found.length + stored === 40 ? { found, stored } : undefined;
  });
  // Each process may not know what the other took in the last second: with 30 messages at once these are some more than 20.
  expect(rejected.stored).toBeGreaterThanOrEqual(20);
  expect(rejected.stored).toBeLessThan(40);
  for (const header of rejected.found) expect(header).toContain("Tellwire-Reject-Reason: QUOTA_EXCEEDED");
  await waitFor(async () => (await call(processes[1]!, key, "/v1/events", event)) === 429);
  await waitFor(async () => (await call(processes[0]!, key, "/v1/events", event)) === 429);
  await js.publish(`tellwire.events.${id}.order.paid`, "{}");
  await waitFor(async () => (await rejectedOf(id)).length === rejected.found.length + 1);
  expect(await eventsOf(id), "nothing that was accepted is gone").toBeGreaterThanOrEqual(rejected.stored);
  const lines = () => processes.flatMap((each) => each.output().match(/rejected events that are too many/g) ?? []);
  await waitFor(() => lines().length > 0, { what: "a line of the log" });
  const minutes = 1 + Math.floor((performance.now() - fromMs) / 60_000);
  expect(lines().length, "one line a minute and process").toBeLessThanOrEqual(2 * minutes);
  const metrics = await (await fetch(`${processes[0]!.httpUrl}/metrics`)).text();
  const others = await (await fetch(`${processes[1]!.httpUrl}/metrics`)).text();
  expect(metrics + others).toMatch(/tellwire_events_rejected_total\{reason="QUOTA_EXCEEDED"\} [1-9]/);
});

test("the count of a day outlives the processes", async () => {
  await waitForRoomInDay(60_000);
  const { id, key } = await tenant({ maxEventsPerDay: "5" });
  const event = { type: "order.paid", data: {} };
  for (let count = 0; count < 5; count += 1) expect(await call(processes[0]!, key, "/v1/events", event)).toBe(200);
  expect(await call(processes[0]!, key, "/v1/events", event)).toBe(429);
  await waitFor(async () => (await usedToday(id)) === 5);
  await waitFor(async () => (await call(processes[1]!, key, "/v1/events", event)) === 429, {
    what: "the other process to read it",
  });
});

/** The headers of the organization's rejected messages. */
async function rejectedOf(id: string): Promise<string[]> {
  const manager = await jetstreamManager(connection, { timeout: patienceMs });
  const { state } = await manager.streams.info("TELLWIRE_REJECTED");
  const found: string[] = [];
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq += 1) {
    const message = await manager.streams.getMessage("TELLWIRE_REJECTED", { seq });
    if (message?.subject.includes(id)) {
      found.push([...message.header].map(([name, values]) => `${name}: ${values.join()}`).join("\n"));
    }
  }
  return found;
}

async function eventsOf(id: string): Promise<number> {
  const { events = [] } = await operator<{ events?: unknown[] }>("GET", `/v1/events?organizationId=${id}&pageSize=200`);
  return events.length;
}

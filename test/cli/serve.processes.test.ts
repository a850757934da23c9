import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import pg from "pg";
import { afterAll, afterEach, expect, it } from "vitest";
import { startNats } from "../support/nats.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, type TellwireSettings, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";
import { runCli } from "./cli-process.ts";
import { childrenOf, isAlive } from "./process-list.ts";

const [database, nats] = await Promise.all([createTestDatabase(), startNats()]);
const receivers: Receiver[] = [];
const running: TellwireProcess[] = [];

afterEach(async () => {
  for (const tellwire of running.splice(0)) if (isAlive(tellwire.pid)) await tellwire.stop();
  for (const receiver of receivers.splice(0)) await receiver.close();
});
afterAll(async () => {
  await database.drop();
  await nats.stop();
});

it("two processes serve on the same ports, and any of them answers with the figures of both", async () => {
  const tellwire = await start(settingsOf(database));
  expect(new Set(workersOf(tellwire)).size).toBe(2);
  expect(childrenOf(tellwire.pid).sort()).toEqual(workersOf(tellwire).sort());
  expect(upLines(tellwire)).toHaveLength(1);

  // Each call has a connection of its own, which either process may take. One that is busy for a moment is left out of the sum.
  const counts = () => Promise.all(Array.from({ length: 6 }, () => metric(tellwire, "tellwire_processes")));
  await waitFor(async () => (await counts()).every((count) => count === 2), { what: "the figures of both" });
  expect(await metric(tellwire, "nodejs_eventloop_lag_p99_seconds")).toBeLessThan(10);
}, 180_000);

it.each(["Postgres", "JetStream"])(
  "both processes deliver from %s, and a scrape counts what each of them did",
  async (broker) => {
    const brokerSettings = broker === "JetStream" ? { TELLWIRE_NATS_URL: nats.url } : {};
    // The lines of deliveries that go well.
    const tellwire = await start(settingsOf(database, { ...brokerSettings, TELLWIRE_LOG_LEVEL: "debug" }));
    const { rest, organizationId, receiver } = await withWebhook(tellwire);
    const both = (): boolean => deliveringProcesses(tellwire).size === 2;
    let published = 0;
    await waitFor(
      async () => {
        published += await publish(rest, organizationId, published, 50);
        return both();
      },
      { what: "attempts of both processes", timeoutMs: 60_000 },
    );
    await waitFor(() => arrived(receiver).size === published, { timeoutMs: 60_000, what: "every event" });
    await waitFor(
      async () => (await metric(tellwire, 'tellwire_deliveries_total{outcome="delivered"}')) === published,
      {
        timeoutMs: 60_000,
        what: "the figures of both processes together",
      },
    );
  },
  200_000,
);

it("a process that is killed is replaced, what it had under way is delivered, and no counter falls", async () => {
  const tellwire = await start(settingsOf(database));
  const { rest, organizationId, receiver } = await withWebhook(tellwire);
  const first = await publish(rest, organizationId, 0, 200);
  await waitFor(() => arrived(receiver).size === first, { timeoutMs: 60_000, what: "the first events" });
  const received = "tellwire_events_received_total";
  await waitFor(async () => (await metric(tellwire, received)) >= first, { what: "the figures of both" });
  const countBefore = await metric(tellwire, received);
  const [idle = 0, busy = 0] = workersOf(tellwire);

  process.kill(idle, "SIGKILL");
  await waitFor(() => tellwire.output().includes("process 1 is up again"), { timeoutMs: 60_000 });
  expect(tellwire.output()).toMatch(/"process":1,"pid":\d+,.*"msg":"process 1 ended and is replaced: SIGKILL: /);
  // What it had not acknowledged comes again, and is counted again.
  expect(await metric(tellwire, received)).toBeGreaterThanOrEqual(countBefore);
  await waitFor(async () => (await metric(tellwire, "tellwire_processes")) === 2, { what: "the figures of both" });

  const publishing = publish(rest, organizationId, first, 400);
  process.kill(busy, "SIGKILL");
  // Calls may be to the process that is gone. Their events have ids: those that were taken are not taken again.
  const publishAgain = () => publish(rest, organizationId, first, 400).catch(() => undefined);
  const second = await publishing.catch(() => waitFor(publishAgain, { what: "the events to be taken" }));
  await waitFor(() => arrived(receiver).size === first + second, { timeoutMs: 90_000, what: "every event" });
  await waitFor(() => tellwire.output().includes("process 2 is up again"), { timeoutMs: 60_000 });
  expect([idle, busy].filter(isAlive)).toEqual([]);
  expect(childrenOf(tellwire.pid)).toHaveLength(2);
  expect(upLines(tellwire)).toHaveLength(1);
}, 400_000);

it.each(["SIGTERM", "SIGINT"] as const)(
  "%s stops all processes in good order, and leaves none behind",
  async (signal) => {
    const tellwire = await start(settingsOf(database));
    const workers = workersOf(tellwire);
    process.kill(tellwire.pid, signal);
    expect(await ended(tellwire)).toBe(0);
    await waitFor(() => tellwire.output().includes('"msg":"tellwire is closed"'), { what: "the last line" });
    expect(workers.filter(isAlive)).toEqual([]);
    await tellwire.closed;
    expect(tellwire.output().match(/"msg":"tellwire is closed"/g)).toHaveLength(1);
    expect(tellwire.output()).not.toContain('"level":"error"');
  },
  180_000,
);

it("a call in flight is answered before its process stops", async () => {
  const release = Promise.withResolvers<void>();
  const receiver = await startReceiver(async (request) => {
    if (request.method === "POST") await release.promise;
    return echoChallenge(request);
  });
  receivers.push(receiver);
  const tellwire = await start(settingsOf(database));
  const { rest, webhookId } = await withWebhook(tellwire, receiver);
  const answer = rest("POST", `/v1/webhooks/${webhookId}:test`, {});
  await waitFor(() => receiver.requests.some(({ method }) => method === "POST"), { what: "the test event" });
  process.kill(tellwire.pid, "SIGTERM");
  await waitFor(() => tellwire.output().includes("SIGTERM: finishing what is in flight"));
  release.resolve();
  expect(await answer).toBeDefined();
  expect(await ended(tellwire)).toBe(0);
}, 180_000);

it("a second signal ends all of them at once", async () => {
  const receiver = await startReceiver((request) => (request.method === "GET" ? echoChallenge(request) : "hang"));
  receivers.push(receiver);
  const tellwire = await start(settingsOf(database, { TELLWIRE_SHUTDOWN_GRACE_MS: "60000" }));
  const { rest, organizationId } = await withWebhook(tellwire, receiver);
  await publish(rest, organizationId, 0, 1);
  await waitFor(() => receiver.requests.some(({ method }) => method === "POST"), { what: "the request that hangs" });
  const workers = workersOf(tellwire);

  process.kill(tellwire.pid, "SIGTERM");
  await waitFor(() => tellwire.output().includes("SIGTERM: finishing what is in flight"), { what: "the first signal" });
  const heardMs = performance.now();
  await waitFor(() => performance.now() - heardMs > sameSignalMs);
  process.kill(tellwire.pid, "SIGTERM");
  expect(await ended(tellwire)).toBe(143);
  await waitFor(() => !workers.some(isAlive), { what: "the end of all processes" });
}, 180_000);

it("a stop while an ended process is being replaced leaves none behind", async () => {
  const tellwire = await start(settingsOf(database));
  const [killed = 0] = workersOf(tellwire);
  process.kill(killed, "SIGKILL");
  const started = await waitFor(
    () => {
      const children = childrenOf(tellwire.pid);
      return children.length === 2 && !children.includes(killed) && children;
    },
    { what: "the start of the replacement" },
  );
  process.kill(tellwire.pid, "SIGTERM");
  expect(await ended(tellwire)).toBe(0);
  expect(started.filter(isAlive)).toEqual([]);
}, 180_000);

it("the processes stop when their supervisor is killed", async () => {
  const tellwire = await start(settingsOf(database));
  const workers = workersOf(tellwire);
  await tellwire.kill();
  await waitFor(() => !workers.some(isAlive), { timeoutMs: 60_000, what: "the end of all processes" });
  // In good order, not in the middle of their work.
  const goodEnds = () => tellwire.output().match(/"msg":"the supervisor is gone: finishing what is in flight"/g) ?? [];
  await waitFor(() => goodEnds().length === 2, { what: "the words of both" });
}, 180_000);

it("a port in use ends the start once, with the same message and exit code as one process", async () => {
  const occupant = createServer().listen(0, "127.0.0.1");
  await once(occupant, "listening");
  const address = `127.0.0.1:${(occupant.address() as AddressInfo).port}`;
  try {
    const outcomes = [];
    for (const processes of ["1", "2"]) {
      const { environment } = settingsOf(database, { TELLWIRE_HTTP_ADDR: address, TELLWIRE_PROCESSES: processes });
      const { exitCode, stderr } = await runCli(["serve"], environment);
      outcomes.push({ exitCode, stderr });
    }
    const message = `tellwire: TELLWIRE_HTTP_ADDR: ${address} is in use by another process; stop that one, or set TELLWIRE_HTTP_ADDR to a free address\n`;
    expect(outcomes).toEqual([
      { exitCode: 1, stderr: message },
      { exitCode: 1, stderr: message },
    ]);
  } finally {
    occupant.close();
  }
}, 180_000);

it("the tables are made once, before the second process starts", async () => {
  const empty = await createTestDatabase();
  try {
    const client = new pg.Client({ connectionString: empty.url });
    await client.connect();
    await client.query("drop schema public cascade; create schema public");
    await client.end();
    const settings = settingsOf(empty);
    const without = { ...settings.environment, TELLWIRE_AUTO_MIGRATE: "false" };
    const { exitCode, stderr } = await runCli(["serve"], without);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^tellwire: the database lacks migrations .*: run `tellwire migrate` first\n$/);

    const tellwire = await start(settings);
    const lines = tellwire.output().split("\n");
    const migrated = lines.filter((line) => line.includes("migrated the database")).map((line) => JSON.parse(line));
    expect(migrated.length).toBeGreaterThan(0);
    expect(migrated.every(({ process }) => process === 1)).toBe(true);
    expect(await tellwire.stop()).toBe(0);
  } finally {
    await empty.drop();
  }
}, 180_000);

it.each(["true", "false"])(
  "a database that is not there ends the start once (migrating itself: %s)",
  async (migrates) => {
    const { environment } = settingsOf({ url: "postgres://nobody:secret@127.0.0.1:1/none" });
    const { exitCode, stderr } = await runCli([], { ...environment, TELLWIRE_AUTO_MIGRATE: migrates });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^tellwire: cannot connect to the database none at 127\.0\.0\.1:1: .*TELLWIRE_DATABASE_URL\n$/,
    );
  },
  180_000,
);

it("one process has no supervisor", async () => {
  const tellwire = await start(settingsOf(database, { TELLWIRE_PROCESSES: "1" }));
  expect(childrenOf(tellwire.pid)).toEqual([]);
  expect(await metric(tellwire, "tellwire_processes")).toBe(1);
  expect(await tellwire.stop()).toBe(0);
}, 180_000);

/** Two signals within this time count as one. */
const sameSignalMs = 500;

function settingsOf({ url }: Pick<TestDatabase, "url">, environment: Record<string, string> = {}): TellwireSettings {
  return tellwireSettings({ TELLWIRE_DATABASE_URL: url, TELLWIRE_PROCESSES: "2", ...environment });
}

async function start(settings: TellwireSettings): Promise<TellwireProcess> {
  const tellwire = await startTellwire(settings);
  running.push(tellwire);
  return tellwire;
}

function upLines(tellwire: TellwireProcess): { processes?: number[] }[] {
  const lines = tellwire.output().split("\n");
  return lines.filter((line) => line.includes('"tellwire is up"')).map((line) => JSON.parse(line));
}

/** The ids of the processes that serve, by the start line. */
function workersOf(tellwire: TellwireProcess): number[] {
  return upLines(tellwire)[0]?.processes ?? [];
}

/** The numbers of the processes whose log lines tell of an attempt. */
function deliveringProcesses(tellwire: TellwireProcess): Set<number> {
  const lines = tellwire.output().split("\n");
  const attempts = lines.filter((line) => line.includes('"webhookId"') && line.includes("order.paid"));
  return new Set(attempts.map((line) => (JSON.parse(line) as { process: number }).process));
}

async function ended(tellwire: TellwireProcess): Promise<number | null> {
  running.splice(running.indexOf(tellwire), 1);
  return await tellwire.exitCode;
}

/** One value of a scrape over a connection of its own. A process whose supervisor is too busy to answer says so, and is asked again. */
async function metric(tellwire: TellwireProcess, name: string): Promise<number> {
  const scrape = async () => {
    const response = await fetch(`${tellwire.httpUrl}/metrics`, { headers: { connection: "close" } });
    const text = await response.text();
    return !text.startsWith("# The supervisor did not answer in time") && text;
  };
  const lines = (await waitFor(scrape, { what: "the figures of all processes" })).split("\n");
  const line = lines.find((text) => text.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

async function withWebhook(
  tellwire: TellwireProcess,
  given?: Receiver,
): Promise<{ rest: RestClient; organizationId: string; webhookId: string; receiver: Receiver }> {
  const receiver = given ?? (await startReceiver(echoChallenge));
  if (given === undefined) receivers.push(receiver);
  const rest = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  const { id: organizationId } = await rest<{ id: string }>("POST", "/v1/organizations", { name: "Processes" });
  const { webhook } = await rest<{ webhook: { id: string } }>("POST", "/v1/webhooks", {
    organizationId,
    url: receiver.url,
    eventTypes: ["order.*"],
  });
  await waitFor(async () => {
    const { status } = await rest<{ status: string }>("GET", `/v1/webhooks/${webhook.id}`);
    return status === "WEBHOOK_STATUS_ACTIVE";
  });
  return { rest, organizationId, webhookId: webhook.id, receiver };
}

/** Publishes events with the numbers from `first` on, and returns how many. Events keep their ids where it is done again. */
async function publish(rest: RestClient, organizationId: string, first: number, count: number): Promise<number> {
  const events = Array.from({ length: count }, (_, index) => ({
    organizationId,
    type: "order.paid",
    id: `order-${first + index}`,
    data: { number: first + index },
  }));
  for (let sent = 0; sent < count; sent += 200) {
    await rest("POST", "/v1/events:batch", { events: events.slice(sent, sent + 200) });
  }
  return count;
}

/** The numbers of the events that have arrived. */
function arrived(receiver: Receiver): Set<number> {
  const posts = receiver.requests.filter(({ method }) => method === "POST");
  return new Set(posts.map(({ body }) => (JSON.parse(body) as { data: { number: number } }).data.number));
}

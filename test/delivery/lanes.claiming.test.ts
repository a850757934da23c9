import { afterEach, beforeEach, expect, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { EngineLimits, EngineObserver } from "../../src/delivery/engine.ts";
import type { Database } from "../../src/store/database.ts";
import type { Sql } from "../../src/store/sql.ts";
import { addOrganization, addWebhook, createTestEngine, deliveriesOf, newEvent } from "../support/engine.ts";
import { openPostgresSite } from "../support/postgres-site.ts";
import { type Respond, startReceiver } from "../support/receiver.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";
import { watched } from "./watched-sql.ts";

// Nobody looks for lanes at intervals here: what is not told of is not found.
const pollIntervalMs = 600_000;

let database: Database;
let broker: Broker;
let organizationId: string;
const receivers: { close(): Promise<unknown> }[] = [];
const closing: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  const site = await openPostgresSite({ maxConnections: 16 });
  closing.push(site.close);
  ({ database, broker } = site);
  organizationId = await addOrganization(database);
});
afterEach(async () => {
  // First, so that no request hangs any more.
  for (const each of receivers.splice(0)) await each.close();
  for (const close of closing.splice(0).reverse()) await close();
});

test("while a lane is held, no more of them are claimed for what is scheduled in it", async () => {
  const hanging = await receiver(() => "hang");
  const { webhook } = await addWebhook(database, organizationId, { url: hanging.url, timeoutMs: 300_000 });
  const claims = await started({ budgetMs: 20 });
  // More than it gets at a time: the others are due in their lane.
  for (let sent = 0; sent < 20; sent++) await publish();
  await waitFor(async () => (await lanesHeld()) === 1, { what: "the lane to be held" });
  const claimsBefore = claims();
  await scheduleOneByOne(webhook.id, 15);
  // One may have been under way.
  expect(claims() - claimsBefore).toBeLessThanOrEqual(1);
});

test("while a breaker is open, no lane is claimed for what is scheduled meanwhile", async () => {
  const sick = await receiver(() => ({ status: 500 }));
  const { webhook } = await addWebhook(database, organizationId, { url: sick.url, retryDelaysMs: [60_000] });
  let openUntil = 0;
  const breakerChanged = (change: { openUntil: number | null }) => {
    openUntil = change.openUntil ?? 0;
  };
  const claims = await started({}, { observer: { breakerChanged } });
  const isOpenAfterOneMore = async (): Promise<boolean> => {
    await publish();
    return openUntil > 0;
  };
  await waitFor(isOpenAfterOneMore, { what: "the breaker to open" });
  await waitFor(async () => (await lanesHeld()) === 0, { what: "the lane to be given back" });
  const claimsBefore = claims();
  await scheduleOneByOne(webhook.id, 8);
  expect(Date.now(), "it was open all the time").toBeLessThan(openUntil);
  // One may have been under way.
  expect(claims() - claimsBefore).toBeLessThanOrEqual(1);
});

test("what is scheduled just when its lane has been given back, and nobody here knows yet, is taken up at its time", async () => {
  const tries = new Map<unknown, number>();
  const failingFirst = await receiver(({ headers: { "webhook-id": id } }) => {
    tries.set(id, (tries.get(id) ?? 0) + 1);
    return { status: tries.get(id) === 1 ? 400 : 204 };
  });
  const { webhook } = await addWebhook(database, organizationId, { url: failingFirst.url, retryDelaysMs: [1] });
  const statuses = async () => (await deliveriesOf(database, webhook.id)).map(({ status }) => status).sort();
  let released = 0;
  const onReleased = async (): Promise<void> => {
    released += 1;
    if (released > 1) return;
    await publish();
    await waitFor(async () => (await statuses()).includes("SCHEDULED"), { what: "the second one to be scheduled" });
  };
  await started({}, { onReleased });
  await publish();
  await waitFor(async () => (await statuses()).join() === "DELIVERED,DELIVERED", { what: "both retries" });
  await waitFor(() => released === 2, { what: "the lane to be given back again" });
});

interface Watching {
  observer?: Partial<EngineObserver>;
  /** A lane was given back, of which the engine hears afterwards. */
  onReleased?: () => Promise<void>;
}

/** Returns how often lanes were claimed. */
async function started(limits: Partial<EngineLimits>, watching: Watching = {}): Promise<() => number> {
  let claims = 0;
  const sql: Sql = {
    ...watched(database.sql, {
      "claim-lanes": async () => {
        claims += 1;
      },
    }),
    async transaction(work) {
      let isRelease = false;
      const result = await database.sql.transaction((transaction) =>
        work(
          watched(transaction, {
            "release-lane": async () => {
              isRelease = true;
            },
          }),
        ),
      );
      if (isRelease) await watching.onReleased?.();
      return result;
    },
  };
  const own = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  const { engine, stop } = createTestEngine({
    database: { ...database, sql },
    broker: own,
    limits: { pollIntervalMs, ...limits },
    ...(watching.observer && { observer: watching.observer }),
  });
  closing.push(async () => {
    await stop(200).catch(() => {});
    await own.close();
  });
  await engine.start();
  return () => claims;
}

async function receiver(respond: Respond) {
  const opened = await startReceiver(respond);
  receivers.push(opened);
  return opened;
}

/** Each in a batch of its own, because the next one is published when it is there. */
async function scheduleOneByOne(webhookId: string, count: number): Promise<void> {
  const scheduled = async () => (await deliveriesOf(database, webhookId)).length;
  for (let published = 0; published < count; published++) {
    const before = await scheduled();
    await publish();
    await waitFor(async () => (await scheduled()) > before);
  }
}

async function publish(): Promise<void> {
  await broker.publish([encodeEventMessage(newEvent(organizationId))]);
}

async function lanesHeld(): Promise<number> {
  const text = "select count(*)::integer as held from lane where lease_expires_at > now()";
  const [row] = await database.sql.query<{ held: number }>({ name: "", text }, []);
  return row?.held ?? 0;
}

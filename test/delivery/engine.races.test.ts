import { afterEach, beforeEach, expect, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { EngineLimits, EngineObserver } from "../../src/delivery/engine.ts";
import type { EventRecord } from "../../src/domain/event.ts";
import type { Database } from "../../src/store/database.ts";
import type { Sql } from "../../src/store/sql.ts";
import { createAuditTrail } from "../../src/usecases/audit-trail.ts";
import { createCancelDelivery } from "../../src/usecases/cancel-delivery.ts";
import { createTransact } from "../../src/usecases/changes.ts";
import {
  addOrganization,
  addWebhook,
  createTestEngine,
  deliveriesOf,
  newEvent,
  type TestEngine,
  testIds,
} from "../support/engine.ts";
import { openPostgresSite } from "../support/postgres-site.ts";
import { operator } from "../support/principals.ts";
import { type Receiver, type Respond, startReceiver } from "../support/receiver.ts";
import { scheduleDeliveries } from "../support/schedule-deliveries.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";
import { hearing, watched } from "./watched-sql.ts";

let database: Database;
let broker: Broker;
let organizationId: string;
const closing: (() => Promise<void>)[] = [];

/** Each test has a database of its own: nothing that another one left behind is due, or waits. */
beforeEach(async () => {
  const site = await openPostgresSite({ maxConnections: 16 });
  closing.push(site.close);
  ({ database, broker } = site);
  organizationId = await addOrganization(database);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) {
    await close();
  }
});

test("an event that is published again reaches a receiver once, although another process has it", async () => {
  const release = Promise.withResolvers<void>();
  const slow = await receiver(async () => {
    await release.promise;
    return { status: 204 };
  });
  const { webhook } = await addWebhook(database, organizationId, { url: slow.url });
  const event = newEvent(organizationId);
  await started({ limits: { maxUnacknowledged: 1, budgetMs: 300_000 } });
  await publish(event);
  await waitFor(() => slow.requests.length === 1);
  // The first process takes no more: the second one gets the event again and again, while it is under way.
  let received = 0;
  await started({
    onClaimed: (messages) => {
      received += messages;
    },
  });
  await publish(event);
  await waitFor(() => received > 1 || slow.requests.length > 1);
  release.resolve();
  await waitFor(async () => (await deliveriesOf(database, webhook.id))[0]?.status === "DELIVERED");
  await waitFor(async () => (await waitingMessages()) === 0);
  expect(slow.requests).toHaveLength(1);
});

test("an event that is published again reaches a receiver once, although its outcome cannot be recorded for some time", async () => {
  const healthy = await receiver();
  const { webhook } = await addWebhook(database, organizationId, { url: healthy.url });
  const event = newEvent(organizationId);
  const isBack = Promise.withResolvers<void>();
  const sql: Sql = {
    ...database.sql,
    async query(statement, parameters) {
      if (statement.name === "record-delivered") await isBack.promise;
      return await database.sql.query(statement, parameters);
    },
    async transaction(work) {
      await isBack.promise;
      return await database.sql.transaction(work);
    },
  };
  const limits = { budgetMs: 200 };
  const first = await started({ sql, limits: { ...limits, maxUnacknowledged: 1 } });
  await publish(event);
  await waitFor(() => healthy.requests.length === 1);
  const sentAt = Date.now();
  let claimedAt = 0;
  await started({
    limits,
    onClaimed: () => {
      claimedAt = Date.now();
    },
  });
  await publish(event);
  // Longer than an outcome takes where all is well.
  await waitFor(() => claimedAt > sentAt + 2_000, { what: "the second process to get the event again and again" });
  isBack.resolve();
  await waitFor(async () => (await deliveriesOf(database, webhook.id))[0]?.status === "DELIVERED");
  await waitFor(async () => (await waitingMessages()) === 0);
  expect(healthy.requests).toHaveLength(1);
  expect(first.failures).toEqual([]);
});

test("what becomes due in a lane does not wait for a request of that lane which hangs", async () => {
  const hanging = await receiver((_request, index) => (index === 0 ? "hang" : { status: 204 }));
  const { webhook } = await addWebhook(database, organizationId, { url: hanging.url, timeoutMs: 300_000 });
  const now = Date.now();
  await scheduled(webhook.id, now, now + 1_000);
  await started();
  await waitFor(() => hanging.requests.length === 2, { what: "the request that is due later" });
  await hanging.close();
});

test("a delivery that is recorded while the database is asked what is due is not sent again", async () => {
  const release = Promise.withResolvers<void>();
  const slow = await receiver(async (_request, index) => {
    if (index === 1) await release.promise;
    return { status: 204 };
  });
  const { webhook } = await addWebhook(database, organizationId, { url: slow.url });
  await scheduled(webhook.id, Date.now(), Date.now());
  let recorded = 0;
  const sql = watched(database.sql, {
    "due-deliveries": async (rows) => {
      await rows();
      if (slow.requests.length === 2 && recorded === 1) {
        release.resolve();
        await waitFor(() => recorded === 2);
      }
    },
  });
  await started({
    sql,
    observer: {
      recorded: (outcomes) => {
        recorded += outcomes;
      },
    },
  });
  await waitFor(() => recorded >= 2);
  const text = "select from lane where webhook_id = $1";
  await waitFor(async () => (await database.sql.query({ name: "", text }, [webhook.id])).length === 0);
  expect(slow.requests).toHaveLength(2);
});

test("a delivery that is cancelled after its lane's worker has read it is not sent", async () => {
  const release = Promise.withResolvers<void>();
  const slow = await receiver(async () => {
    await release.promise;
    return { status: 204 };
  });
  const { webhook } = await addWebhook(database, organizationId, { url: slow.url });
  await scheduled(webhook.id, Date.now() - 1_000, Date.now() - 500);
  let asked = 0;
  const sql = watched(database.sql, {
    "due-deliveries": async () => {
      asked += 1;
    },
  });
  await started({ sql, maxPerWebhook: 1 });
  await waitFor(() => slow.requests.length === 1);
  const askedBefore = asked;
  const [, second] = (await deliveriesOf(database, webhook.id)).sort(
    (one, other) => Number(one.nextAttemptAt) - Number(other.nextAttemptAt),
  );
  const cancel = createCancelDelivery({
    transact: createTransact(database, { webhooksChanged: () => {}, lanesDue: () => {} }),
    audit: createAuditTrail(testIds),
    now: Date.now,
  });
  await cancel(operator, { id: second?.id ?? "", organizationId: undefined });
  await waitFor(() => asked > askedBefore, { what: "the lane to be read again" });
  release.resolve();
  await waitFor(async () => (await deliveriesOf(database, webhook.id)).every(({ status }) => status !== "SCHEDULED"));
  const text = "select from lane where webhook_id = $1";
  await waitFor(async () => (await database.sql.query({ name: "", text }, [webhook.id])).length === 0);
  expect(slow.requests).toHaveLength(1);
});

test("a delivery that is cancelled while its lane is being read is not sent", async () => {
  const target = await receiver(() => ({ status: 204 }));
  const { webhook } = await addWebhook(database, organizationId, { url: target.url });
  await scheduled(webhook.id, Date.now() - 1_000);
  const [delivery] = await deliveriesOf(database, webhook.id);
  const cancel = createCancelDelivery({
    transact: createTransact(database, { webhooksChanged: () => {}, lanesDue: () => {} }),
    audit: createAuditTrail(testIds),
    now: Date.now,
  });
  const heard: string[] = [];
  let isCancelled = false;
  const sql = watched(hearing(database.sql, heard), {
    // Between the two statements that read the lane.
    "events-of-due-deliveries": async () => {
      if (isCancelled) return;
      isCancelled = true;
      await cancel(operator, { id: delivery?.id ?? "", organizationId: undefined });
      await waitFor(() => heard.includes(webhook.id), { what: "the word of it" });
    },
  });
  await started({ sql });
  const text = "select from lane where webhook_id = $1";
  await waitFor(async () => (await database.sql.query({ name: "", text }, [webhook.id])).length === 0);
  expect(await deliveriesOf(database, webhook.id)).toMatchObject([{ status: "CANCELLED", attemptCount: 0 }]);
  expect(target.requests).toHaveLength(0);
});

test("what waits for a webhook that is changed while its lane's worker reads it is sent as the webhook is now", async () => {
  const [before, now] = [await receiver(), await receiver()];
  const { webhook } = await addWebhook(database, organizationId, { url: before.url });
  await scheduled(webhook.id, Date.now() - 1_000);
  const heard: string[] = [];
  let isChanged = false;
  const sql = watched(hearing(database.sql, heard), {
    "load-subscriptions": async (rows) => {
      if (isChanged) return;
      isChanged = true;
      await rows();
      const text = `
        with changed as (update webhook set url = $2 where id = $1 returning organization_id)
        select pg_notify('tellwire_webhooks', organization_id::text) from changed`;
      await database.sql.query({ name: "", text }, [webhook.id, now.url]);
      await waitFor(() => heard.includes(organizationId), { what: "the word of it" });
    },
  });
  await started({ sql });
  await waitFor(async () => (await deliveriesOf(database, webhook.id))[0]?.status === "DELIVERED");
  expect([before.requests.length, now.requests.length]).toEqual([0, 1]);
});

test("a lane whose lease ran out while the database was away is not worked on twice by one process", async () => {
  const release = Promise.withResolvers<void>();
  const slow = await receiver(async () => {
    await release.promise;
    return { status: 204 };
  });
  const { webhook } = await addWebhook(database, organizationId, { url: slow.url });
  await scheduled(webhook.id, Date.now());
  let claims = 0;
  const sql = watched(database.sql, {
    // The lease is never renewed.
    "renew-lanes": () => Promise.reject(new Error("the database is away")),
    "claim-lanes": async (rows) => {
      claims += (await rows()).length;
    },
  });
  await started({ sql, limits: { leaseMs: 200 } });
  await waitFor(() => claims >= 3, { what: "the lane to be claimed again, and once more" });
  release.resolve();
  await waitFor(async () => (await deliveriesOf(database, webhook.id))[0]?.status === "DELIVERED");
  expect(slow.requests).toHaveLength(1);
});

test("a process that cannot renew its lease begins no request once the lease may have run out", async () => {
  const slow = await receiver(async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { status: 204 };
  });
  const { webhook } = await addWebhook(database, organizationId, { url: slow.url });
  const [all, leaseMs] = [200, 2_000];
  await scheduled(webhook.id, ...Array.from({ length: all }, () => Date.now()));
  const begun: number[] = [];
  let claimedAt = 0;
  let isHeld = false;
  const away = () => Promise.reject(new Error("the database is away"));
  const sql = watched(database.sql, {
    "renew-lanes": away,
    "claim-lanes": async (rows) => {
      if (claimedAt > 0) return await away();
      claimedAt = (await rows()).length > 0 ? Date.now() : 0;
    },
  });
  await started({
    sql,
    maxPerWebhook: 1,
    limits: { leaseMs },
    observer: {
      attempted: ({ outcome }) => void begun.push(outcome.startedAt),
      lanesHeld: (lanes) => {
        isHeld = lanes > 0;
      },
    },
  });
  await waitFor(() => begun.length > 0 && !isHeld, { what: "the lane to be let go" });
  expect(begun.length).toBeLessThan(all);
  expect(Math.max(...begun)).toBeLessThanOrEqual(claimedAt + leaseMs);
});

test("a lane that cannot be worked on is tried again after a pause, not at once", async () => {
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/" });
  await scheduled(webhook.id, Date.now());
  const failures: number[] = [];
  const sql = watched(database.sql, {
    "due-deliveries": () => {
      failures.push(performance.now());
      return Promise.reject(new Error("the statement failed"));
    },
  });
  await started({ sql });
  await waitFor(() => failures.length >= 3);
  const [first = 0, , third = 0] = failures;
  expect(third - first).toBeGreaterThan(1_000);
});

test("an event that the database cannot take holds up no other event of its batch", async () => {
  const healthy = await receiver();
  const { webhook } = await addWebhook(database, organizationId, { url: healthy.url });
  const constraint = async (text: string) =>
    await database.sql.query({ name: "", text: `alter table event ${text}` }, []);
  await constraint("add constraint no_refused check (type <> 'refused')");
  closing.push(async () => void (await constraint("drop constraint no_refused")));
  const events = Array.from({ length: 5 }, () => newEvent(organizationId));
  const [first, ...others] = events;
  const refused = newEvent(organizationId, { type: "refused" });
  await publish(...(first === undefined ? [] : [first]), refused, ...others);
  await started();
  await waitFor(async () => {
    const deliveries = await deliveriesOf(database, webhook.id);
    return deliveries.length === events.length && deliveries.every(({ status }) => status === "DELIVERED");
  });
  expect(healthy.requests).toHaveLength(events.length);
});

interface StartOptions {
  sql?: Sql;
  maxPerWebhook?: number;
  limits?: Partial<EngineLimits>;
  observer?: Partial<EngineObserver>;
  onClaimed?: (messages: number) => void;
}

/** A process of its own, as far as the engine can tell. */
async function started({
  sql = database.sql,
  maxPerWebhook = 16,
  limits = {},
  observer = {},
  onClaimed = () => {},
}: StartOptions = {}): Promise<TestEngine> {
  const own = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  const counting: Broker = {
    ...own,
    consume: (options, handle) =>
      own.consume(options, (batch) => {
        onClaimed(batch.length);
        handle(batch);
      }),
  };
  const engine = createTestEngine({
    database: { ...database, sql },
    broker: counting,
    maxPerWebhook,
    limits,
    observer,
  });
  closing.push(async () => {
    await engine.stop(200).catch(() => {});
    await own.close();
  });
  await engine.engine.start();
  return engine;
}

async function receiver(respond?: Respond): Promise<Receiver> {
  const opened = await startReceiver(respond);
  closing.push(() => opened.close());
  return opened;
}

async function publish(...events: EventRecord[]): Promise<void> {
  await broker.publish(events.map((event) => encodeEventMessage(event)));
}

async function waitingMessages(): Promise<number> {
  const text = "select count(*)::int as waiting from broker_message";
  const [row] = await database.sql.query<{ waiting: number }>({ name: "waiting-messages", text }, []);
  return row?.waiting ?? 0;
}

/** Deliveries of events of their own, scheduled at these times. */
async function scheduled(webhookId: string, ...times: number[]): Promise<void> {
  await scheduleDeliveries(database, { organizationId, webhookId }, times);
}

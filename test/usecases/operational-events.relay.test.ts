import { afterEach, beforeEach, expect, it } from "vitest";
import type { Broker, OutgoingMessage } from "../../src/broker/broker.ts";
import { newUuid, parseId } from "../../src/domain/ids.ts";
import { webhookDisabled } from "../../src/domain/operational-event.ts";
import { TellwireError } from "../../src/errors.ts";
import { insertOperationalEvents } from "../../src/store/sql/insert-operational-events.ts";
import { createOperationalEventRelay } from "../../src/usecases/operational-event-relay.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook, createTestEngine, deliveriesOf, type TestEngine, testIds } from "../support/engine.ts";
import { operator } from "../support/principals.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";

let api: TestApi;
let organizationId: string;
let published: OutgoingMessage[];
let isBrokerAway: boolean;
let broker: Broker;
const closing: (() => Promise<void>)[] = [];
beforeEach(async () => {
  api = await startApi();
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
  published = [];
  isBrokerAway = false;
  broker = {
    ...api.broker,
    async publish(messages) {
      if (isBrokerAway) throw new TellwireError("BROKER_UNAVAILABLE", "the broker does not answer");
      await api.broker.publish(messages);
      published.push(...messages);
    },
  };
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await api.close();
});

it("every event that was written down reaches the broker in its order, and leaves the table", async () => {
  const ids = await writeEvents(450);
  relay();
  await waitFor(() => published.length === 450, { what: "the events" });
  await waitFor(async () => (await waiting()) === 0, { what: "the end of what waits" });
  expect(published.map(({ headers }) => headers["ce-id"])).toEqual(ids);
  expect(published[0]).toMatchObject({
    subject: `tellwire.events.${organizationId}.webhook.disabled`,
    headers: { "ce-source": "tellwire" },
  });
});

it("two relays publish each event once, and in the order", async () => {
  relay();
  relay();
  const ids = await writeEvents(450);
  await waitFor(async () => (await waiting()) === 0, { what: "the end of what waits" });
  expect(published.map(({ headers }) => headers["ce-id"])).toEqual(ids);
});

it("what the broker does not take waits in the database, and goes out when it is back", async () => {
  isBrokerAway = true;
  relay();
  const ids = await writeEvents(3);
  await waitFor(() => api.backgroundFailures.length > 0, { what: "a failure" });
  expect(await waiting()).toBe(3);
  isBrokerAway = false;
  await waitFor(async () => (await waiting()) === 0, { what: "the end of the outage" });
  expect(published.map(({ headers }) => headers["ce-id"])).toEqual(ids);
});

it("what a relay had taken when it died is published when its claim has run out", async () => {
  const ids = await writeEvents(2);
  await query("update operational_event set claimed_until = now() + interval '1 minute' where id = $1", [ids[0]]);
  const { wake } = relay();
  wake();
  await query("update operational_event set claimed_until = now() - interval '1 second' where id = $1", [ids[0]]);
  wake();
  await waitFor(async () => (await waiting()) === 0, { what: "the events" });
  expect(published.map(({ headers }) => headers["ce-id"])).toEqual(ids);
});

it("an event about a webhook arrives at a webhook that names it, once, and not at one for everything", async () => {
  const receiver = await openReceiver();
  const engine = await startEngine();
  const named = await addWebhook(api.database, organizationId, {
    url: `${receiver.url}/named`,
    eventTypes: ["webhook.disabled"],
  });
  const prefixed = await addWebhook(api.database, organizationId, {
    url: `${receiver.url}/prefixed`,
    eventTypes: ["webhook.*"],
  });
  const everything = await addWebhook(api.database, organizationId, {
    url: `${receiver.url}/all`,
    eventTypes: ["*"],
  });
  relay();
  const [id = ""] = await writeEvents(1);
  for (const { webhook } of [named, prefixed]) {
    const delivered = async () => (await deliveriesOf(api.database, webhook.id))[0]?.status === "DELIVERED";
    await waitFor(delivered, { what: "both deliveries" });
  }
  // The same change, told again: the same event.
  await writeEvents(1, id);
  await waitFor(async () => (await waiting()) === 0, { what: "the second telling" });
  await engine.stop();
  expect(receiver.requests.map(({ path }) => path).sort()).toEqual(["/hook/named", "/hook/prefixed"]);
  expect(JSON.parse(receiver.requests[0]!.body)).toMatchObject({
    type: "webhook.disabled",
    data: { webhook_id: expect.stringMatching(/^wh_/), reason: "off" },
  });
  expect(await deliveriesOf(api.database, everything.webhook.id)).toEqual([]);
  for (const { webhook } of [named, prefixed]) {
    expect(await deliveriesOf(api.database, webhook.id)).toMatchObject([{ status: "DELIVERED" }]);
  }
});

it("a delivery that is given up is told, and the telling that is given up is not", async () => {
  const receiver = await openReceiver();
  receiver.respondWith(() => ({ status: 500 }));
  await startEngine();
  const failing = { url: receiver.url, maxAttempts: 1 };
  const first = await addWebhook(api.database, organizationId, { ...failing, eventTypes: ["order.paid"] });
  const second = await addWebhook(api.database, organizationId, { ...failing, eventTypes: ["delivery.exhausted"] });
  relay();
  await api.useCases.events.publish(operator, [orderPaid()], () => "event");
  const [told] = await waitFor(
    async () => {
      const deliveries = await deliveriesOf(api.database, second.webhook.id);
      return deliveries.some(({ status }) => status === "EXHAUSTED") && deliveries;
    },
    { what: "the end of the telling" },
  );
  expect(told).toMatchObject({ eventType: "delivery.exhausted", attemptCount: 1 });
  const [exhausted] = await deliveriesOf(api.database, first.webhook.id);
  expect(exhausted).toMatchObject({ status: "EXHAUSTED" });
  // What is told is written down with the end of a delivery. It goes from the table when it is published, which is after it has arrived here.
  await waitFor(async () => (await waiting()) === 0, { what: "the end of what waits" });
  expect(published).toHaveLength(1);
});

function relay() {
  const started = createOperationalEventRelay({ ...api.dependencies, broker });
  started.start();
  closing.push(() => started.stop());
  return started;
}

/** In the order of their times. Returns the ids. */
async function writeEvents(count: number, id?: string): Promise<string[]> {
  const webhookId = newUuid(testIds);
  const events = Array.from({ length: count }, (_, version) => {
    const at = Date.now() - 10_000 + version;
    const event = webhookDisabled({ webhookId, organizationId, reason: "off", version, at });
    return { ...event, id: id ?? event.id };
  });
  await insertOperationalEvents(api.database.sql, events);
  return events.map((event) => event.id);
}

async function waiting(): Promise<number> {
  return (await query("select from operational_event", [])).length;
}

async function query(text: string, parameters: unknown[]): Promise<unknown[]> {
  return await api.database.sql.query({ name: "", text }, parameters);
}

async function openReceiver(): Promise<Receiver> {
  const receiver = await startReceiver();
  closing.push(() => receiver.close());
  return receiver;
}

async function startEngine(): Promise<TestEngine> {
  const engine = createTestEngine({ database: api.database, broker: api.broker });
  await engine.engine.start();
  closing.push(() => engine.stop());
  return engine;
}

function orderPaid() {
  return {
    id: "",
    organizationId,
    type: "order.paid",
    dataJson: "{}",
    dataField: "data" as const,
    subject: "",
    projectId: "",
    orderingKey: "",
    traceparent: "",
    occurredAt: undefined,
  };
}

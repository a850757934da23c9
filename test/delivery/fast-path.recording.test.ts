import { randomBytes, randomUUID } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { createEndpoints } from "../../src/delivery/endpoints.ts";
import { createFastPath } from "../../src/delivery/fast-path.ts";
import { type AttemptTask, scheduled } from "../../src/delivery/make-attempt.ts";
import { organizationSubscriptions } from "../../src/delivery/organization-subscriptions.ts";
import { createPacer } from "../../src/delivery/pacer.ts";
import type { Outcome, Recorder } from "../../src/delivery/recorder.ts";
import { createRequestSlots } from "../../src/delivery/request-slots.ts";
import { startCrowded, startDeliveries } from "../../src/delivery/start-deliveries.ts";
import type { Subscription } from "../../src/delivery/subscription.ts";
import { deliveryIdOf } from "../../src/domain/ids.ts";
import { outgoingEvent } from "../../src/domain/outgoing-event.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { newEvent } from "../support/engine.ts";
import { waitFor } from "../support/wait-for.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

test("a delivery that is handed to its lane and then attempted after all tells once that it is recorded, so that its event waits for the others", async () => {
  const { fastPath, recorded, answer } = start();
  const tellings: unknown[] = [];
  fastPath.deliver(task(), (failure) => void tellings.push(failure));
  await waitFor(() => recorded.length === 1, { what: "the hand-over" });
  recorded[0]?.onRecorded();
  expect(tellings).toEqual([undefined]);
  answer(true);
  await waitFor(() => recorded.length === 2, { what: "the late outcome" });
  recorded[1]?.onRecorded();
  expect(tellings).toEqual([undefined]);
});

test("an attempt that breaks off after its delivery was handed to its lane fails no event: the lane has it", async () => {
  const { fastPath, recorded, answer } = start();
  const tellings: unknown[] = [];
  fastPath.deliver(task(), (failure) => void tellings.push(failure));
  await waitFor(() => recorded.length === 1, { what: "the hand-over" });
  recorded[0]?.onRecorded();
  answer(false);
  await waitFor(() => !fastPath.isUnderWay(deliveryId), { what: "the end of the attempt" });
  expect(tellings).toEqual([undefined]);
});

test("an event for very many webhooks takes no more memory than there is: the rest is started as the first ones are recorded", async () => {
  const { fastPath, recorded } = start();
  const { subscription } = task();
  const paused = Array.from({ length: 100 }, () => ({
    ...subscription,
    status: "PAUSED" as const,
    webhookId: randomUUID(),
  }));
  const record = newEvent(subscription.organizationId);
  const ended: unknown[] = [];
  const startMore = startDeliveries(
    fastPath,
    { key: "", record, messages: [], sequence: 1 },
    {
      organization: organizationSubscriptions(paused),
      standing: { receivedAt: Date.now(), eventIn: undefined, before: undefined },
      pacer: createPacer(10),
    },
    (started) => void ended.push(started),
  );
  const starting = startCrowded(fastPath, [{ organizationId: subscription.organizationId, startMore }]);
  for (let told = 0; told < 100; told += 10) {
    await waitFor(() => recorded.length === told + 10, { what: "all that memory has room for" });
    expect(fastPath.hasRoom(subscription.organizationId)).toBe(false);
    for (const { onRecorded } of recorded.slice(told)) onRecorded();
  }
  await starting;
  expect(ended).toEqual([{ kind: "recorded" }]);
  expect(recorded).toHaveLength(100);
});

test("two messages of one event that wait for room in memory send it once, and give all of the room back", async () => {
  const { fastPath, recorded, answer } = start();
  answer(true);
  const filling = Array.from({ length: 10 }, () => paused(task()));
  for (const each of filling) fastPath.deliver({ ...each, deliveryId: randomUUID() }, () => {});
  const { subscription } = task();
  const record = newEvent(subscription.organizationId);
  const ended: string[] = [];
  const starting = [1, 2].map((sequence) =>
    startDeliveries(
      fastPath,
      { key: "", record, messages: [], sequence },
      {
        organization: organizationSubscriptions([subscription]),
        standing: { receivedAt: 0, eventIn: undefined, before: { recorded: new Set(), isSettling: false } },
        pacer: createPacer(10),
      },
      ({ kind }) => void ended.push(kind),
    ),
  );
  for (const startMore of starting) expect(await startMore()).toBe(false);
  for (const { onRecorded } of recorded.splice(0)) onRecorded();
  const { organizationId } = subscription;
  await startCrowded(
    fastPath,
    starting.map((startMore) => ({ organizationId, startMore })),
  );
  await waitFor(() => recorded.length > 0, { what: "the outcome" });
  for (const { onRecorded } of recorded) onRecorded();
  expect(ended.toSorted()).toEqual(["elsewhere", "recorded"]);
  expect(recorded).toHaveLength(1);
  for (const each of filling.slice(1)) fastPath.deliver({ ...each, deliveryId: randomUUID() }, () => {});
  expect(fastPath.hasRoom(subscription.organizationId)).toBe(true);
});

test("while requests with large payloads hang, further large ones go to their lanes at once, and small ones are sent as ever", async () => {
  const { fastPath, recorded, answer } = start();
  const ofBytes = (bytes: number): AttemptTask => {
    const { subscription, ...rest } = task();
    const event = outgoingEvent(newEvent(subscription.organizationId, { dataJson: `"${"x".repeat(bytes - 2)}"` }));
    return { ...rest, subscription, event, deliveryId: randomUUID() };
  };
  const isSent = (of: AttemptTask): boolean => {
    const before = recorded.length;
    fastPath.deliver(of, () => {});
    return recorded.length === before;
  };
  expect(isSent(ofBytes(30_000))).toBe(true);
  expect(isSent(ofBytes(30_000))).toBe(true);
  await waitFor(() => recorded.length === 2, { what: "both to be handed over" });
  expect(isSent(ofBytes(30_000))).toBe(false);
  expect(isSent(ofBytes(1_000))).toBe(true);
  answer(true);
  await waitFor(() => recorded.length >= 6, { what: "the outcomes" });
  for (const { onRecorded } of recorded) onRecorded();
  expect(isSent(ofBytes(30_000))).toBe(true);
});

test("what its lane could not begin at the moment is recorded when there is time, unless it keeps an order", async () => {
  const { fastPath, recorded, endpoints } = start();
  const one = task();
  const { breaker, webhookId } = endpoints.of(one.subscription.webhookId);
  expect(breaker.state).toBe("closed");
  endpoints.hear(webhookId, { openUntil: Date.now() + 60_000, opened: 1 });
  const rateLimited = { ...task().subscription, rateLimit: { count: 1, periodMs: 1_000 } };
  for (const each of [one, { ...one, orderingKey: "key" }, paused(task()), { ...task(), subscription: rateLimited }]) {
    fastPath.deliver({ ...each, deliveryId: randomUUID() }, () => {});
  }
  expect(recorded.map(({ outcome }) => outcome.canWait ?? false)).toEqual([true, false, true, false]);

  const { subscription } = task();
  const busy = endpoints.of(subscription.webhookId);
  for (let request = 0; request < busy.limit.value; request++) endpoints.start(busy);
  endpoints.slowDown(busy, Date.now(), Date.now() + 60_000);
  fastPath.deliver({ ...task(), subscription, deliveryId: randomUUID() }, () => {});
  expect(recorded.at(-1)?.outcome.canWait, "the receiver has as many requests as it bears").toBe(true);
});

const deliveryId = randomUUID();

function paused({ subscription, ...rest }: AttemptTask): AttemptTask {
  return { ...rest, subscription: { ...subscription, status: "PAUSED" } };
}

/** The fast path alone: what it records, and when its one attempt ends, is up to the test. */
function start() {
  const recorded: { outcome: Outcome; onRecorded: (refusal?: unknown) => void }[] = [];
  const recorder: Recorder = {
    record: (outcome, onRecorded) => void recorded.push({ outcome, onRecorded }),
    isFailing: () => false,
    flush: async () => {},
  };
  const ended = Promise.withResolvers<boolean>();
  const endpoints = createEndpoints({
    maxPerWebhook: 8,
    failuresToOpen: 10,
    now: Date.now,
    random: Math.random,
    onBreaker: () => {},
  });
  const fastPath = createFastPath({
    recorder,
    async makeAttempt(of) {
      if (!(await ended.promise)) throw new Error("the client is closed");
      return scheduled(of, Date.now());
    },
    endpoints,
    slots: createRequestSlots({ max: 8, maxSlow: 8, slowMs: 250, now: Date.now, isHeld: () => false }),
    now: Date.now,
    maxUnderWay: 10,
    maxWaiting: 10,
    maxLateBytes: 40_000,
    budgetMs: 20,
    parkMs: 1_000,
  });
  closing.push(() => fastPath.drain(0));
  return { fastPath, recorded, endpoints, answer: ended.resolve };
}

function task(): AttemptTask {
  const organizationId = randomUUID();
  const subscription: Subscription = {
    webhookId: randomUUID(),
    organizationId,
    eventTypes: ["*"],
    projectIds: new Set(),
    status: "ACTIVE",
    url: "http://127.0.0.1:9/",
    format: "STANDARD",
    headers: {},
    configJson: null,
    disableAfterExhausted: null,
    requestOrigin: undefined,
    policy: { delaysMs: [], maxAttempts: 1, timeoutMs: 1_000 },
    rateLimit: null,
    ordering: "NONE",
    activeSince: 0,
    secrets: [],
    secretBox: createSecretBox({ keys: [randomBytes(32)] }),
  };
  return {
    deliveryId,
    event: outgoingEvent(newEvent(organizationId)),
    subscription,
    attemptCount: 0,
    manualRetry: null,
    createdAt: Date.now(),
    sequence: 1,
    orderingKey: null,
  };
}

test("a copy of an event whose delivery is on record is left out, unless the webhook keeps an order: it may have the earlier place", async () => {
  const { fastPath, recorded } = start();
  const { subscription } = task();
  const ordered = { ...subscription, webhookId: randomUUID(), ordering: "BY_KEY" as const };
  const record = { ...newEvent(subscription.organizationId), orderingKey: "key" };
  const receivedAt = Date.now();
  const ids = [subscription, ordered].map(({ webhookId }) => deliveryIdOf(record.id, receivedAt, webhookId));
  const startMore = startDeliveries(
    fastPath,
    { key: "", record, messages: [], sequence: 5 },
    {
      organization: organizationSubscriptions([subscription, ordered]),
      standing: { receivedAt, eventIn: undefined, before: { recorded: new Set(ids), isSettling: false } },
      pacer: createPacer(10),
    },
    () => {},
  );
  expect(await startMore()).toBe(true);
  expect(recorded.map(({ outcome }) => outcome.delivery)).toMatchObject([
    { webhookId: ordered.webhookId, status: "SCHEDULED", orderingKey: "key", sequence: 5 },
  ]);
});

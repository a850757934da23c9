import { monitorEventLoopDelay } from "node:perf_hooks";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { hasPublisherMark } from "../../src/broker/publisher-mark.ts";
import { createDispatcher, type DispatcherOptions } from "../../src/delivery/dispatcher.ts";
import type { EventAdmission } from "../../src/delivery/event-admission.ts";
import type { AttemptTask } from "../../src/delivery/make-attempt.ts";
import { createSubscriptions, type Subscriptions } from "../../src/delivery/subscriptions.ts";
import type { EventRecord } from "../../src/domain/event.ts";
import { deliveryIdOf } from "../../src/domain/ids.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import type { Database } from "../../src/store/database.ts";
import type { BrokerUnderTest } from "../broker/broker-under-test.ts";
import { collect } from "../broker/collect.ts";
import { handingOutTogether } from "../broker/handing-out-together.ts";
import { copyWebhook } from "../support/copy-webhook.ts";
import { addOrganization, addWebhook, newEvent, testSecretBox } from "../support/engine.ts";
import { waitFor } from "../support/wait-for.ts";
import { startingFastPath } from "./starting-fast-path.ts";

const url = "https://example.com/hook";

/** What the dispatcher does with messages, on either broker. Deliveries are only started here: what becomes of them is the fast path's matter. */
export function dispatcherContract(
  name: string,
  start: () => Promise<{ database: Database; underTest: BrokerUnderTest }>,
): void {
  describe(`the dispatcher on ${name}`, () => {
    let database: Database;
    let underTest: BrokerUnderTest;
    let broker: Broker;
    let organizationId: string;
    let stop: (() => Promise<void>)[];
    beforeEach(async () => {
      ({ database, underTest } = await start());
      broker = await underTest.open();
      organizationId = await addOrganization(database);
      stop = [];
    });
    afterEach(async () => {
      for (const each of stop.reverse()) {
        await each();
      }
      await underTest.clear();
    });

    const publish = async (...events: EventRecord[]): Promise<void> =>
      await broker.publish(events.map((event) => encodeEventMessage(event, underTest.subjectPrefix)));

    const newSubscriptions = (): Subscriptions =>
      createSubscriptions({
        sql: database.sql,
        secretBox: testSecretBox,
        defaultPolicy: DEFAULT_RETRY_POLICY,
        requestOrigin: "tellwire.test",
        maxAgeMs: 300_000,
        maxWebhooks: 10_000,
      });

    const dispatching = async ({ from = broker, ...changes }: Partial<DispatcherOptions> & { from?: Broker } = {}) => {
      const tasks: AttemptTask[] = [];
      const failures: unknown[] = [];
      const rejections: { reason: string; detail: string }[] = [];
      const subscriptions = newSubscriptions();
      const dispatcher = createDispatcher({
        broker: from,
        sql: database.sql,
        subscriptions,
        changesHeard: () => Promise.resolve(),
        fastPath: startingFastPath(async (task) => void tasks.push(task)),
        maxPayloadBytes: 262_144,
        subjectPrefix: underTest.subjectPrefix,
        now: Date.now,
        settlingMs: 100,
        repeatSettlingMs: 100,
        onReceived: () => {},
        onRejected: (_message, reason, detail) => void rejections.push({ reason, detail }),
        onFailure: (error) => void failures.push(error),
        ...changes,
      });
      const consumer = await from.consume(
        { maxBatch: 500, maxUnacknowledged: 2_000, maxUnacknowledgedBytes: 1e8 },
        dispatcher.handle,
      );
      stop.push(() => consumer.stop());
      return { tasks, failures, rejections, subscriptions, dispatcher, consumer };
    };

    test("a delivery has an id that follows from event, time of receipt and webhook, and its event's place", async () => {
      const { webhook: plain } = await addWebhook(database, organizationId, { url });
      const { webhook: ordered } = await addWebhook(database, organizationId, { url, ordering: "BY_KEY" });
      const { tasks } = await dispatching();
      const keyed = newEvent(organizationId, { orderingKey: "k" });
      const free = newEvent(organizationId);
      await publish(keyed);
      await waitFor(() => tasks.length === 2);
      await publish(free);
      await waitFor(() => tasks.length === 4);
      const receivedAt = await receiptOf(database, keyed.id);
      const find = (event: EventRecord, webhookId: string) =>
        tasks.find((task) => task.event.id === event.id && task.subscription.webhookId === webhookId);
      expect(find(keyed, ordered.id)).toMatchObject({
        deliveryId: deliveryIdOf(keyed.id, receivedAt, ordered.id),
        createdAt: receivedAt,
        orderingKey: "k",
        attemptCount: 0,
      });
      expect(find(keyed, plain.id)).toMatchObject({ orderingKey: null });
      expect(find(free, ordered.id)).toMatchObject({ orderingKey: null });
      expect(find(free, plain.id)!.sequence).toBeGreaterThan(find(keyed, plain.id)!.sequence!);
    });

    test("who subscribes to everything gets no event about Tellwire itself, who names it does", async () => {
      await addWebhook(database, organizationId, { url, eventTypes: ["*"] });
      const { webhook: naming } = await addWebhook(database, organizationId, { url, eventTypes: ["webhook.*"] });
      const { tasks, dispatcher } = await dispatching();
      await publish(newEvent(organizationId, { type: "webhook.disabled", source: "tellwire" }));
      await waitFor(() => tasks.length > 0);
      await dispatcher.drain();
      expect(tasks.map(({ subscription }) => subscription.webhookId)).toEqual([naming.id]);
    });

    test("an event that the database refuses for its content is kept as rejected, with the reason, and holds up no other", async () => {
      const constraint = async (text: string) =>
        await database.sql.query({ name: "", text: `alter table event ${text}` }, []);
      await constraint("add constraint no_refused check (type <> 'refused')");
      stop.push(async () => void (await constraint("drop constraint no_refused")));
      await addWebhook(database, organizationId, { url });
      const events = Array.from({ length: 5 }, () => newEvent(organizationId));
      await publish(...events.slice(0, 2), newEvent(organizationId, { type: "refused" }), ...events.slice(2));
      const { tasks, rejections, failures, dispatcher } = await dispatching();
      await waitFor(() => tasks.length === 5 && rejections.length === 1);
      await dispatcher.drain();
      expect(rejections).toEqual([
        { reason: "REFUSED_BY_STORE", detail: expect.stringMatching(/^the database cannot hold it: .+no_refused/) },
      ]);
      const [kept] = await underTest.rejected();
      expect(kept).toMatchObject({
        subject: `${underTest.subjectPrefix}.rejected.events.${organizationId}.refused`,
        headers: { "Tellwire-Reject-Reason": "REFUSED_BY_STORE" },
      });
      expect(failures).toEqual([]);
      await waitFor(
        async () => (await broker.recordedThrough()).through >= Math.max(...tasks.map((task) => task.sequence!)),
      );
    });

    test("an event for which there is no partition yet stays with the broker", async () => {
      await addWebhook(database, organizationId, { url });
      const partitions = async (text: string) => await database.sql.query({ name: "", text }, []);
      const far = Date.now() + 3_650 * 86_400_000;
      const { failures, rejections, tasks } = await dispatching({ now: () => far });
      await publish(newEvent(organizationId));
      await waitFor(() => failures.length > 0);
      expect(rejections).toEqual([]);
      await partitions("create table event_far partition of event default");
      stop.push(async () => void (await partitions("drop table event_far")));
      await waitFor(() => tasks.length === 1, { what: "the event, once there is a partition" });
    });

    test("a webhook that was activated before its event was published gets it, however late the word of it comes", async () => {
      const word = Promise.withResolvers<void>();
      let asked = 0;
      const changesHeard = async () => {
        asked += 1;
        await word.promise;
      };
      const { tasks, subscriptions, dispatcher } = await dispatching({ changesHeard });
      await subscriptions.of(organizationId);
      // Of a process whose clock is ahead.
      await addWebhook(database, organizationId, { url, activeSince: new Date(Date.now() + 60_000) });
      await publish(newEvent(organizationId));
      await waitFor(() => asked === 1);
      subscriptions.invalidate(organizationId);
      word.resolve();
      await waitFor(() => tasks.length === 1);
      await dispatcher.drain();
    });

    test("while nobody hears of changes, webhooks are read for each batch", async () => {
      const changesHeard = () => Promise.reject(new Error("the connection is lost"));
      const { tasks, subscriptions } = await dispatching({ changesHeard });
      await subscriptions.of(organizationId);
      await addWebhook(database, organizationId, { url });
      await publish(newEvent(organizationId));
      await waitFor(() => tasks.length === 1);
    });

    test("an event that comes again is not for webhooks that were activated since", async () => {
      await addWebhook(database, organizationId, { url });
      const { tasks, subscriptions, dispatcher } = await dispatching({ settlingMs: 0, repeatSettlingMs: 0 });
      const event = newEvent(organizationId);
      await publish(event);
      await waitFor(() => tasks.length === 1);
      const later = new Date(Date.now() + 60_000);
      const { webhook: late } = await addWebhook(database, organizationId, { url, activeSince: later });
      subscriptions.invalidate(organizationId);
      await publish(event);
      await waitFor(() => tasks.length >= 2);
      await dispatcher.drain();
      expect(tasks.some(({ subscription }) => subscription.webhookId === late.id)).toBe(false);
    });

    test("an event that is one too many is kept as rejected with the reason, and the others go on", async () => {
      await addWebhook(database, organizationId, { url });
      const taken: number[] = [];
      const refusal = { reason: "QUOTA_EXCEEDED", detail: "that is enough" } as const;
      const take = (_organizationId: string, publishedAt: number) =>
        taken.push(publishedAt) > 3 ? refusal : undefined;
      const { tasks, rejections, failures, dispatcher } = await dispatching({
        admission: { isAccepted: () => false, prepare: () => Promise.resolve(), take },
      });
      const before = Date.now();
      await publish(...Array.from({ length: 5 }, () => newEvent(organizationId)));
      await waitFor(() => tasks.length === 3 && rejections.length === 2);
      await dispatcher.drain();
      expect(rejections[0]).toEqual(refusal);
      const [kept] = await underTest.rejected();
      expect(kept).toMatchObject({ headers: { "Tellwire-Reject-Reason": "QUOTA_EXCEEDED" } });
      expect(failures).toEqual([]);
      for (const at of taken) expect(Math.abs(at - before), "the time at which it was published").toBeLessThan(60_000);
    });

    test("what this deployment accepted, and what is delivered a second time, is not judged again", async () => {
      await addWebhook(database, organizationId, { url });
      const asked: string[] = [];
      let isAway = true;
      const admission: EventAdmission = {
        isAccepted: (message) => hasPublisherMark(message, "mark"),
        async prepare() {
          if (isAway) throw new Error("the limits cannot be read");
        },
        take(id) {
          asked.push(id);
          return { reason: "RATE_LIMITED", detail: "too fast" };
        },
      };
      const { tasks, rejections, failures } = await dispatching({ admission });
      await broker.publish([encodeEventMessage(newEvent(organizationId), underTest.subjectPrefix, "mark")]);
      await waitFor(() => tasks.length === 1);
      await publish(newEvent(organizationId));
      await waitFor(() => failures.length === 1);
      isAway = false;
      await waitFor(() => tasks.length === 2, { what: "the event that came again" });
      expect(asked).toEqual([]);
      await publish(newEvent(organizationId));
      await broker.publish([encodeEventMessage(newEvent(organizationId), underTest.subjectPrefix, "another mark")]);
      await waitFor(() => rejections.length === 2);
      const kept = await waitFor(async () => {
        const all = await underTest.rejected();
        return all.length === 2 ? all : undefined;
      });
      expect(kept.flatMap(({ headers }) => Object.keys(headers).filter((name) => name.includes("publisher")))).toEqual(
        [],
      );
    });

    test.for([
      ["are read", true],
      ["are read anew after its event was written", false],
    ] as const)("while the webhooks of one organization %s, the events of the others go on", async ([, fromStart]) => {
      const slow = await addOrganization(database);
      for (const each of [slow, organizationId]) await addWebhook(database, each, { url });
      const reading = Promise.withResolvers<void>();
      const subscriptions = newSubscriptions();
      let isSlow: boolean = fromStart;
      await publish(...[slow, organizationId, slow, organizationId].map((each) => newEvent(each)));
      const { tasks, failures, rejections, dispatcher } = await dispatching({
        // The word of a change comes while the events are written.
        async changesHeard() {
          isSlow = true;
        },
        subscriptions: {
          ...subscriptions,
          cached: (id) => (isSlow && id === slow ? undefined : subscriptions.cached(id)),
          async of(id) {
            if (isSlow && id === slow) await reading.promise;
            return await subscriptions.of(id);
          },
        },
      });
      await waitFor(() => tasks.length === 2, { what: "the events of the other organization" });
      expect(tasks.map(({ subscription }) => subscription.organizationId)).toEqual([organizationId, organizationId]);
      reading.resolve();
      await waitFor(() => tasks.length === 4);
      await dispatcher.drain();
      expect({ failures, rejections }).toEqual({ failures: [], rejections: [] });
    });

    test("events of an organization that does not exist are rejected, together", async () => {
      const unknown = "01900000-0000-7000-8000-00000000abcd";
      await publish(...Array.from({ length: 20 }, () => newEvent(unknown)));
      const { rejections, dispatcher } = await dispatching();
      await waitFor(() => rejections.length === 20);
      await dispatcher.drain();
      expect(new Set(rejections.map(({ reason }) => reason))).toEqual(new Set(["UNKNOWN_ORGANIZATION"]));
      await waitFor(async () => (await underTest.rejected()).length === 20);
    });

    test("what fails on our side is told of once for a batch, and comes again", async () => {
      await addWebhook(database, organizationId, { url });
      let fails = true;
      const isAway = new Error("the database is away");
      const query: typeof database.sql.query = async (statement, parameters) => {
        if (fails && statement.name === "insert-events") throw isAway;
        return await database.sql.query(statement, parameters);
      };
      // Around midnight events are inserted in one.
      const transaction: typeof database.sql.transaction = async (work) => {
        if (fails) throw isAway;
        return await database.sql.transaction(work);
      };
      await publish(...Array.from({ length: 10 }, () => newEvent(organizationId)));
      const batches: number[] = [];
      const onFailure = (_error: unknown, messages: number) => void batches.push(messages);
      const { tasks } = await dispatching({
        from: handingOutTogether(broker, 10),
        sql: { ...database.sql, query, transaction },
        onFailure,
      });
      await waitFor(() => batches.length > 0);
      fails = false;
      expect(batches[0]).toBe(10);
      await waitFor(() => tasks.length === 10);
    });

    test("a message that is in work for longer than the broker waits is not given to anybody else", async () => {
      await underTest.clear();
      const from = await underTest.open({ ackWaitMs: 2_000 });
      broker = from;
      await addWebhook(database, organizationId, { url });
      const recorded = Promise.withResolvers<void>();
      const begun: AttemptTask[] = [];
      const fastPath = startingFastPath(async (task) => {
        begun.push(task);
        await recorded.promise;
      });
      const stalls = monitorEventLoopDelay();
      stalls.enable();
      const { dispatcher, consumer } = await dispatching({ from, fastPath, workingIntervalMs: 150 });
      await publish(newEvent(organizationId));
      await waitFor(() => begun.length === 1);
      await consumer.stop();
      const other = await collect(await underTest.open({ ackWaitMs: 2_000 }));
      stop.push(() => other.consumer.stop());
      // What nobody works on comes to the other one again and again meanwhile.
      const measure = newEvent(organizationId);
      await publish(measure);
      const isMeasure = ({ headers }: { headers: Readonly<Record<string, string>> }) => headers["ce-id"] === measure.id;
      await waitFor(() => other.messages.filter(isMeasure).length >= 3);
      stalls.disable();
      // A process that stood still could not say that it works on it.
      if (stalls.max < 1e9) expect(other.messages.every(isMeasure)).toBe(true);
      recorded.resolve();
      await dispatcher.drain();
    });

    test("a fan-out to many webhooks, and a large batch, let other work through", async () => {
      const { webhook } = await addWebhook(database, organizationId, { url, eventTypes: ["wide"] });
      await copyWebhook(database, webhook.id, 299);
      await addWebhook(database, organizationId, { url, eventTypes: ["narrow"] });
      let turns = 0;
      let isWatching = true;
      const watch = () => {
        turns += 1;
        if (isWatching) setImmediate(watch);
      };
      let started = 0;
      const turnsAt: number[] = [];
      const fastPath = startingFastPath(async () => {
        started += 1;
        turnsAt.push(turns);
        const end = performance.now() + 0.3;
        while (performance.now() < end);
      });
      await publish(newEvent(organizationId, { type: "wide" }));
      await publish(...Array.from({ length: 300 }, () => newEvent(organizationId, { type: "narrow" })));
      watch();
      const { dispatcher } = await dispatching({ fastPath });
      await waitFor(() => started === 600);
      await dispatcher.drain();
      isWatching = false;
      // 180 ms of work, of which no more than some milliseconds go at a time.
      expect(new Set(turnsAt).size).toBeGreaterThan(15);
    });
  });
}

async function receiptOf(database: Database, eventId: string): Promise<number> {
  const text = "select (extract(epoch from received_at) * 1000)::float8 as at from event where id = $1";
  const [row] = await database.sql.query<{ at: number }>({ name: "", text }, [eventId]);
  return row!.at;
}

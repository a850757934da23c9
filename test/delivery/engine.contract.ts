import { Webhook as Verifier } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import type { EventRecord } from "../../src/domain/event.ts";
import { publicId } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { EventEntity } from "../../src/store/entities/event.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { WebhookSecretEntity } from "../../src/store/entities/webhook-secret.ts";
import {
  addOrganization,
  addSecret,
  addWebhook,
  attemptsOf,
  createTestEngine,
  deliveriesOf,
  newEvent,
  type TestEngine,
  testIds,
} from "../support/engine.ts";
import { type ReceivedRequest, type Receiver, type Respond, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";

export interface EngineParts {
  database: Database;
  broker: Broker;
  subjectPrefix?: string;
  /** A second one on the same store and broker, as another process has. */
  secondBroker(): Promise<Broker>;
  close(): Promise<void>;
}

/** What the engine promises on every store and broker. */
export function describeEngine(parts: string, open: () => Promise<EngineParts>): void {
  describe(`the delivery engine on ${parts}`, () => {
    let opened: EngineParts;
    let database: Database;
    let broker: Broker;
    let organizationId: string;
    let engines: TestEngine[] = [];
    let receivers: Receiver[] = [];

    beforeAll(async () => {
      opened = await open();
      ({ database, broker } = opened);
    });
    afterAll(() => opened.close());
    beforeEach(async () => {
      organizationId = await addOrganization(database);
    });
    afterEach(async () => {
      await Promise.all(receivers.map((receiver) => receiver.close()));
      await Promise.all(engines.map((engine) => engine.stop()));
      engines = [];
      receivers = [];
    });

    const receiver = async (respond?: Respond): Promise<Receiver> => {
      const started = await startReceiver(respond);
      receivers.push(started);
      return started;
    };
    const engine = async (options: Partial<Parameters<typeof createTestEngine>[0]> = {}): Promise<TestEngine> => {
      const created = createTestEngine({ ...opened, ...options });
      engines.push(created);
      await created.engine.start();
      return created;
    };
    const publish = (...events: EventRecord[]): Promise<void> =>
      broker.publish(events.map((event) => encodeEventMessage(event, opened.subjectPrefix)));
    const stopped = async (running: TestEngine): Promise<void> => {
      engines = engines.filter((other) => other !== running);
      await running.stop();
    };
    const finished = (webhookId: string, count = 1) =>
      waitFor(
        async () => {
          const deliveries = await deliveriesOf(database, webhookId);
          const done = deliveries.filter(({ status }) => status !== "SCHEDULED");
          return done.length === count && deliveries.length === count ? done : undefined;
        },
        { what: `${count} finished deliveries` },
      );
    /** Until every event that was published has all of its deliveries on record. */
    const everythingRecorded = () =>
      waitFor(
        async () => {
          const { through, last } = await broker.recordedThrough();
          return through === last;
        },
        { what: "the record of every event" },
      );

    test("an event reaches every webhook that wants it, signed, and no other", async () => {
      const [wanting, alsoWanting, others] = await Promise.all([receiver(), receiver(), receiver()]);
      const { webhook, secret } = await addWebhook(database, organizationId, {
        url: wanting.url,
        eventTypes: ["order.*"],
        headers: { "x-team": "billing" },
      });
      const { webhook: another } = await addWebhook(database, organizationId, {
        url: alsoWanting.url,
        eventTypes: ["order.paid"],
      });
      await addWebhook(database, organizationId, { url: others.url, eventTypes: ["order"] });
      await addWebhook(database, organizationId, { url: others.url, projectIds: ["another"] });
      await addWebhook(database, await addOrganization(database), { url: others.url });
      await addWebhook(database, organizationId, { url: others.url, status: "UNVERIFIED" });
      await addWebhook(database, organizationId, { url: others.url, status: "DISABLED" });
      await engine();

      const event = newEvent(organizationId);
      await publish(event);

      const [delivery] = await finished(webhook.id);
      await finished(another.id);
      await everythingRecorded();
      const request = wanting.requests[0] as ReceivedRequest;
      expect(request.method).toBe("POST");
      expect(request.headers).toMatchObject({
        "content-type": "application/json",
        "webhook-id": publicId("event", event.id),
        "x-team": "billing",
      });
      expect(JSON.parse(request.body)).toEqual({
        type: "order.paid",
        timestamp: event.occurredAt.toISOString(),
        data: { amount: 42 },
      });
      expect(new Verifier(secret).verify(request.body, headersOf(request))).toMatchObject({ type: "order.paid" });
      const changed = request.body.replace("42", "43");
      expect(() => new Verifier(secret).verify(changed, headersOf(request))).toThrow();
      expect(delivery).toMatchObject({
        status: "DELIVERED",
        attemptCount: 1,
        lastStatusCode: 204,
        eventType: "order.paid",
      });
      expect(await attemptsOf(database, delivery?.id ?? "")).toMatchObject([
        { number: 1, trigger: "SCHEDULE", statusCode: 204, error: null, url: wanting.url },
      ]);
      expect(alsoWanting.requests).toHaveLength(1);
      expect(others.requests).toHaveLength(0);
    });

    test("a receiver that fails twice gets three requests with one webhook-id, fresh timestamps and valid signatures", async () => {
      const failing = await receiver((_request, index) => (index < 2 ? { status: 500, body: "no" } : { status: 200 }));
      const { webhook, secret } = await addWebhook(database, organizationId, {
        url: failing.url,
        retryDelaysMs: [1_000, 1_000, 1_000],
      });
      await engine();
      await publish(newEvent(organizationId));

      const [delivery] = await finished(webhook.id);
      expect(delivery).toMatchObject({ status: "DELIVERED", attemptCount: 3 });
      expect(new Set(failing.requests.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
      expect(new Set(failing.requests.map(({ headers }) => headers["webhook-timestamp"])).size).toBe(3);
      for (const request of failing.requests) {
        expect(new Verifier(secret).verify(request.body, headersOf(request))).toBeDefined();
      }
      const attempts = await attemptsOf(database, delivery?.id ?? "");
      expect(attempts.map(({ number, statusCode, error }) => [number, statusCode, error])).toEqual([
        [1, 500, "STATUS"],
        [2, 500, "STATUS"],
        [3, 200, null],
      ]);
      expect(Buffer.from(attempts[0]?.responseBody ?? []).toString()).toBe("no");
    });

    test("a delivery is exhausted when its schedule is, and says so", async () => {
      const failing = await receiver(() => ({ status: 302, headers: { location: "/elsewhere" } }));
      const { webhook } = await addWebhook(database, organizationId, { url: failing.url, retryDelaysMs: [100] });
      await engine();
      await publish(newEvent(organizationId));
      const [delivery] = await finished(webhook.id);
      expect(delivery).toMatchObject({ status: "EXHAUSTED", attemptCount: 2, statusReason: "all 2 attempts failed" });
      expect(failing.requests.map(({ path }) => path)).toEqual(["/hook", "/hook"]);
    });

    test("410 disables the webhook, and cancels what waits for it", async () => {
      const leaving = await receiver((_request, index) => ({ status: index === 0 ? 500 : 410 }));
      const { webhook } = await addWebhook(database, organizationId, { url: leaving.url, retryDelaysMs: [60_000] });
      await engine();
      await publish(newEvent(organizationId));
      await waitFor(async () => (await deliveriesOf(database, webhook.id))[0]?.attemptCount === 1);
      await publish(newEvent(organizationId));

      const deliveries = await finished(webhook.id, 2);
      expect(deliveries.map(({ status }) => status).sort()).toEqual(["CANCELLED", "EXHAUSTED"]);
      expect(deliveries.find(({ status }) => status === "CANCELLED")?.statusReason).toContain("disabled");
      const disabled = await database.em().findOneOrFail(WebhookEntity, webhook.id);
      expect(disabled.status).toBe("DISABLED");
      expect(disabled.statusReason).toContain("410");
      await publish(newEvent(organizationId));
      await everythingRecorded();
      expect(await database.em().count(EventEntity, { organizationId })).toBe(3);
      expect(leaving.requests).toHaveLength(2);
    });

    test("Retry-After puts the next attempt off", async () => {
      const busy = await receiver((_request, index) =>
        index === 0 ? { status: 503, headers: { "retry-after": "2" } } : { status: 200 },
      );
      const { webhook } = await addWebhook(database, organizationId, { url: busy.url, retryDelaysMs: [100] });
      await engine();
      await publish(newEvent(organizationId));
      await finished(webhook.id);
      const [first, second] = busy.requests;
      expect((second?.receivedAt ?? 0) - (first?.receivedAt ?? 0)).toBeGreaterThanOrEqual(1_990);
    });

    test("an event that comes twice is delivered once", async () => {
      const once = await receiver();
      const { webhook } = await addWebhook(database, organizationId, { url: once.url });
      await engine();
      const event = newEvent(organizationId, { externalId: "order-1" });
      const [second, witness] = [newEvent(organizationId, { externalId: "order-1" }), newEvent(organizationId)];
      await publish(event, event);
      await publish(second);
      await finished(webhook.id);
      await publish(second, witness);
      await finished(webhook.id, 2);
      await everythingRecorded();
      expect(once.requests).toHaveLength(2);
      expect(await database.em().count(EventEntity, { organizationId })).toBe(2);
    });

    test("two organizations that call their events by the same name both get theirs", async () => {
      const otherOrganization = await addOrganization(database);
      const [mine, theirs] = await Promise.all([receiver(), receiver()]);
      const { webhook } = await addWebhook(database, organizationId, { url: mine.url });
      const { webhook: other } = await addWebhook(database, otherOrganization, { url: theirs.url });
      await engine();
      await publish(newEvent(organizationId, { externalId: "1" }), newEvent(otherOrganization, { externalId: "1" }));
      await Promise.all([finished(webhook.id), finished(other.id)]);
      expect([mine.requests.length, theirs.requests.length]).toEqual([1, 1]);
    });

    test("an event that nobody wants is recorded, and one of an unknown organization is rejected with the reason", async () => {
      const { rejections } = await engine();
      const event = newEvent(organizationId);
      await publish(event, newEvent("00000000-0000-7000-8000-000000000000"));
      const found = await waitFor(() => database.em().findOne(EventEntity, { id: event.id }));
      expect(found.dataJson).toBe('{"amount":42}');
      await waitFor(() => rejections.length === 1);
      expect(rejections[0]?.reason).toBe("UNKNOWN_ORGANIZATION");
    });

    test("a receiver that hangs holds nobody up, and its deliveries time out in their lane", async () => {
      const release = Promise.withResolvers<void>();
      const healthy = await receiver();
      // The first requests hang for as long as the test looks at them, and the others for good.
      const hanging = await receiver(async (_request, index) => {
        if (index >= 2) return "hang";
        await release.promise;
        return { status: 500 };
      });
      const { webhook } = await addWebhook(database, organizationId, {
        url: hanging.url,
        timeoutMs: 300_000,
        retryDelaysMs: [],
      });
      const { webhook: other } = await addWebhook(database, organizationId, { url: healthy.url });
      const { engine: running } = await engine({ limits: { budgetMs: 300 }, maxPerWebhook: 2 });
      await publish(...Array.from({ length: 6 }, () => newEvent(organizationId)));

      await finished(other.id, 6);
      await everythingRecorded();
      const scheduled = await deliveriesOf(database, webhook.id);
      expect(scheduled.map(({ status, attemptCount }) => [status, attemptCount])).toEqual(
        Array(6).fill(["SCHEDULED", 0]),
      );

      const em = database.em();
      (await em.findOneOrFail(WebhookEntity, webhook.id)).timeoutMs = 300;
      await em.flush();
      running.webhooksChanged(organizationId);
      release.resolve();
      const deliveries = await finished(webhook.id, 6);
      expect(deliveries.every(({ status, attemptCount }) => status === "EXHAUSTED" && attemptCount === 1)).toBe(true);
      expect(hanging.requests).toHaveLength(6);
      const attempts = await Promise.all(deliveries.map(({ id }) => attemptsOf(database, id)));
      const timedOut = attempts.flat().filter(({ error, statusCode }) => error === "TIMEOUT" && statusCode === 0);
      expect(timedOut).toHaveLength(4);
    });

    test("more events than a webhook can take at once all arrive, each once", async () => {
      const slow = await receiver(async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return { status: 200 };
      });
      const { webhook } = await addWebhook(database, organizationId, { url: slow.url });
      await engine({ maxPerWebhook: 4, limits: { budgetMs: 200 } });
      await publish(...Array.from({ length: 300 }, () => newEvent(organizationId)));
      await finished(webhook.id, 300);
      expect(new Set(slow.requests.map(({ headers }) => headers["webhook-id"])).size).toBe(300);
      expect(slow.requests).toHaveLength(300);
    });

    test("two processes share the work, and nothing is sent twice", async () => {
      const shared = await receiver();
      const { webhook } = await addWebhook(database, organizationId, { url: shared.url });
      const secondBroker = await opened.secondBroker();
      await Promise.all([engine(), engine({ broker: secondBroker })]);
      await publish(...Array.from({ length: 500 }, () => newEvent(organizationId)));
      await finished(webhook.id, 500);
      expect(shared.requests).toHaveLength(500);
      await Promise.all(engines.map(stopped));
      await secondBroker.close();
    });

    test("what a paused webhook collects waits until it is resumed", async () => {
      const paused = await receiver();
      const { webhook } = await addWebhook(database, organizationId, { url: paused.url, status: "PAUSED" });
      const { engine: running } = await engine();
      await publish(newEvent(organizationId), newEvent(organizationId));
      await waitFor(async () => (await deliveriesOf(database, webhook.id)).length === 2);
      await waitFor(async () => (await laneOf(database, webhook.id)) === "infinity");
      expect(paused.requests).toHaveLength(0);

      const em = database.em();
      (await em.findOneOrFail(WebhookEntity, webhook.id)).status = "ACTIVE";
      await em.flush();
      const text = "update lane set due_at = now() where webhook_id = $1";
      await database.sql.query({ name: "resume", text }, [webhook.id]);
      running.webhooksChanged(organizationId);
      running.lanesDue();
      await finished(webhook.id, 2);
      expect(paused.requests).toHaveLength(2);
      await waitFor(async () => (await laneOf(database, webhook.id)) === undefined, { what: "the empty lane to go" });
    });

    test("during a rotation's overlap both secrets verify one request, and after it only the new one does", async () => {
      const rotating = await receiver();
      const { webhook, secret: old } = await addWebhook(database, organizationId, { url: rotating.url });
      const { engine: running } = await engine();
      const fresh = await addSecret(database, webhook.id);
      const expire = async (at: Date) => {
        const em = database.em();
        const [first] = await em.find(
          WebhookSecretEntity,
          { webhookId: webhook.id },
          { orderBy: { createdAt: "asc" } },
        );
        Object.assign(first ?? {}, { expiresAt: at });
        await em.flush();
        running.webhooksChanged(organizationId);
      };
      const next = async () => {
        const before = rotating.requests.length;
        await publish(newEvent(organizationId));
        return await waitFor(() => rotating.requests[before]);
      };

      await expire(new Date(Date.now() + 60_000));
      const during = await next();
      for (const secret of [old, fresh]) {
        expect(new Verifier(secret).verify(during.body, headersOf(during))).toBeDefined();
      }
      await expire(new Date(Date.now() - 1));
      const after = await next();
      expect(new Verifier(fresh).verify(after.body, headersOf(after))).toBeDefined();
      expect(() => new Verifier(old).verify(after.body, headersOf(after))).toThrow();
    });

    test("a stop hands what is under way to the lanes, and the next start delivers it", async () => {
      const hanging = await receiver((_request, index) => (index === 0 ? "hang" : { status: 200 }));
      const { webhook } = await addWebhook(database, organizationId, { url: hanging.url, timeoutMs: 300_000 });
      const first = await engine();
      await publish(newEvent(organizationId));
      await waitFor(() => hanging.requests.length === 1);
      const stopping = stopped(first);
      await waitFor(async () => (await deliveriesOf(database, webhook.id)).length === 1);
      expect(await deliveriesOf(database, webhook.id)).toMatchObject([{ status: "SCHEDULED", attemptCount: 0 }]);
      await hanging.close();
      await stopping;

      const again = await receiver();
      const em = database.em();
      (await em.findOneOrFail(WebhookEntity, webhook.id)).url = again.url;
      await em.flush();
      // The lane leaves it alone until the attempt of the process before cannot be under way any more: the clock stands there.
      await engine({ ids: { ...testIds, now: () => Date.now() + 600_000 } });
      const [delivery] = await finished(webhook.id);
      expect(delivery).toMatchObject({ status: "DELIVERED" });
    });
  });
}

function headersOf({ headers }: ReceivedRequest): Record<string, string> {
  return headers as Record<string, string>;
}

async function laneOf(database: Database, webhookId: string): Promise<string | undefined> {
  const text = "select due_at::text from lane where webhook_id = $1";
  const [lane] = await database.sql.query<{ due_at: string }>({ name: "lane-of", text }, [webhookId]);
  return lane?.due_at;
}

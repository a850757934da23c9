import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { anyUnpack, timestampFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { EventService, PublishEventStreamResponse } from "../../gen/tellwire/v1/event_service_pb.ts";
import type { Broker, IncomingMessage } from "../../src/broker/broker.ts";
import { decodeEventMessage } from "../../src/broker/event-message.ts";
import type { EventRecord } from "../../src/domain/event.ts";
import { eventIdOfExternalId, parseId, publicId } from "../../src/domain/ids.ts";
import { TellwireError } from "../../src/errors.ts";
import { EventEntity } from "../../src/store/entities/event.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { waitFor } from "../support/wait-for.ts";
import { errorOf, startApi, type TestApi } from "./start-api.ts";

/** Recorded events are received around it: on two days, which stand in two partitions. */
const newYear = Date.UTC(2026, 0, 1);
let api: TestApi;
const published: EventRecord[] = [];
beforeAll(async () => {
  api = await startApi();
  await ensurePartitions(api.database.sql, { now: newYear, daysBefore: 1, daysAhead: 0 });
  await api.broker.consume({ maxBatch: 100, maxUnacknowledged: 1000, maxUnacknowledgedBytes: 1e8 }, (batch) =>
    batch.forEach(take),
  );
});
afterAll(() => api.close());

const data = fromJson(ValueSchema, { amount: 1.5, tags: ["a", null, true] });

it("a published event is in the broker, whole, when the call is answered", async () => {
  const { clients, id: organizationId } = await api.addOrganization();
  const { eventId } = await clients.events.publishEvent({
    event: {
      type: "order.paid",
      data,
      subject: "order 7",
      projectId: "p",
      orderingKey: "k",
      occurTime: timestampFromMs(1_767_225_600_123),
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
  });
  expect(eventId).toMatch(/^evt_/);
  const event = await publishedEvent(eventId);
  expect(event).toEqual({
    id: parseId("event", eventId),
    organizationId: parseId("organization", organizationId),
    externalId: null,
    type: "order.paid",
    dataJson: '{"amount":1.5,"tags":["a",null,true]}',
    source: null,
    subject: "order 7",
    projectId: "p",
    orderingKey: "k",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    occurredAt: new Date(1_767_225_600_123),
  });
});

it("data given as JSON text goes on byte for byte", async () => {
  const { clients } = await api.addOrganization();
  const text = '{ "big": 12345678901234567890, "é": "\\u0041" }';
  const { eventId } = await clients.events.publishEvent({ event: { type: "a", dataJson: Buffer.from(text) } });
  expect((await publishedEvent(eventId)).dataJson).toBe(text);
});

it("a publisher's own id is always the same event, and differs between organizations", async () => {
  const { clients, id } = await api.addOrganization();
  const organizationId = parseId("organization", id)!;
  const publish = (eventId: string) => clients.events.publishEvent({ event: { id: eventId, type: "a", data } });
  const own = publicId("event", eventIdOfExternalId(organizationId, "order-7"));
  expect((await publish("order-7")).eventId).toBe(own);
  expect((await publish("order-7")).eventId).toBe(own);
  expect((await publishedEvent(own)).externalId).toBe("order-7");
  const uuid = "019a7b1e-0000-7000-8000-000000000001";
  expect((await publish(uuid)).eventId).toBe(publicId("event", uuid));
  expect((await publish(publicId("event", uuid))).eventId).toBe(publicId("event", uuid));
  const other = await (await api.addOrganization()).clients.events.publishEvent({
    event: { id: "order-7", type: "a", data },
  });
  expect(other.eventId).not.toBe(own);
});

it("a batch is published in order, and refused whole where one of it is invalid", async () => {
  const { clients } = await api.addOrganization();
  const { eventIds } = await clients.events.publishEvents({
    events: ["a", "b", "c"].map((type) => ({ type, data, id: `batch-${type}` })),
  });
  const types = await Promise.all(eventIds.map(async (eventId) => (await publishedEvent(eventId)).type));
  expect(types).toEqual(["a", "b", "c"]);

  const refused = await errorOf(
    clients.events.publishEvents({
      events: [{ type: "a", data, id: "not-published" }, { type: "b b", data }, { type: "c" }],
    }),
  );
  expect(refused.reason).toBe("INVALID_FIELDS");
  expect(Object.keys(refused.fields)).toEqual(["events[1].type", "events[2]"]);
  const json = await errorOf(
    clients.events.publishEvents({
      events: [
        { type: "a", data, id: "not-published" },
        { type: "b", dataJson: Buffer.from("{") },
      ],
    }),
  );
  expect(Object.keys(json.fields)).toEqual(["events[1].data_json"]);
  expect(Object.keys((await errorOf(clients.events.publishEvents({}))).fields)).toEqual(["events"]);
  await clients.events.publishEvent({ event: { type: "last", data, id: "fence" } });
  await waitFor(() => published.some(({ externalId }) => externalId === "fence"));
  expect(published.filter(({ externalId }) => externalId === "not-published")).toEqual([]);
});

it("what is wrong with an event is named", async () => {
  const { clients } = await api.addOrganization();
  const fieldsOf = async (event: object) => (await errorOf(clients.events.publishEvent({ event }))).fields;
  expect(await fieldsOf({ data })).toHaveProperty(["event.type"]);
  expect(await fieldsOf({ type: "a" })).toEqual({ event: "data is required: any JSON value, such as {}" });
  expect(await fieldsOf({ type: "a", data, id: "a b" })).toHaveProperty(["event.id"]);
  expect(await fieldsOf({ type: "a", data, organizationId: "x" })).toHaveProperty(["event.organization_id"]);
  expect(await fieldsOf({ type: "a", data, traceparent: "x" })).toHaveProperty(["event.traceparent"]);
  expect(await fieldsOf({ type: "a", dataJson: Buffer.of(0xff) })).toHaveProperty(["event.data_json"]);
  expect(await fieldsOf({ type: "a", dataJson: Buffer.from("\ufeff{}") })).toHaveProperty(["event.data_json"]);
  expect(await fieldsOf({ type: "a", data: { kind: { case: "numberValue", value: Number.NaN } } })).toHaveProperty([
    "event.data",
  ]);
  expect(await fieldsOf({ type: "a", data, occurTime: { seconds: 10n ** 15n } })).toHaveProperty(["event.occur_time"]);
  const large = await fieldsOf({ type: "a", dataJson: Buffer.from(`"${"x".repeat(262_143)}"`) });
  expect(large["event.data_json"]).toContain("262144 bytes");
});

it("an operator publishes for an organization that it names and that exists", async () => {
  const { id: organizationId } = await api.addOrganization();
  const publish = (fields: object) => api.operator.events.publishEvent({ event: { type: "a", data, ...fields } });
  const { eventId } = await publish({ organizationId });
  expect((await publishedEvent(eventId)).organizationId).toBe(parseId("organization", organizationId));
  const unnamed = await errorOf(publish({}));
  expect(unnamed).toMatchObject({ reason: "ORGANIZATION_REQUIRED" });
  expect(unnamed.fields).toHaveProperty(["event.organization_id"]);
  const unknown = await errorOf(publish({ organizationId: "org_00000000000000000000000000" }));
  expect(unknown).toMatchObject({ reason: "ORGANIZATION_NOT_FOUND", code: Code.NotFound });
});

it("a stream answers each event by itself and in order, and goes on after an invalid one", async () => {
  const { clients } = await api.addOrganization();
  const requests = Array.from({ length: 600 }, (_, index) => ({
    event: index === 7 ? { type: "b b", data } : { type: `a.n${index}`, data },
  }));
  const answers = await answersOf(clients.events, [...requests.slice(0, 300), {}, ...requests.slice(300)]);
  expect(answers.map(({ index }) => Number(index))).toEqual(Array.from({ length: 601 }, (_, index) => index));
  const refused = answers.filter(({ result }) => result.case === "error");
  expect(refused.map(({ index }) => index)).toEqual([7n, 300n]);
  const [first] = refused;
  if (first?.result.case !== "error") throw new Error("an error was expected");
  const { code, details } = first.result.value;
  expect(code).toBe(Code.InvalidArgument);
  const unpacked = details.map((detail) => anyUnpack(detail, ErrorInfoSchema) ?? anyUnpack(detail, BadRequestSchema));
  expect(unpacked).toMatchObject([
    { reason: "INVALID_FIELDS", domain: "tellwire" },
    { fieldViolations: [{ field: "event.type" }] },
  ]);
  const { result } = answers[600]!;
  expect((await publishedEvent(result.value as string)).type).toBe("a.n599");
});

it("a stream answers an event before the next one is sent", async () => {
  const { clients } = await api.addOrganization();
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  async function* requests() {
    yield { event: { type: "first", data } };
    await answered;
    yield { event: { type: "second", data } };
  }
  const indexes: bigint[] = [];
  for await (const { index } of clients.events.publishEventStream(requests())) {
    indexes.push(index);
    resolve();
  }
  expect(indexes).toEqual([0n, 1n]);
});

it("a broker that takes nothing is UNAVAILABLE, for a call and for one event of a stream", async () => {
  const broker: Broker = {
    ...api.broker,
    publish: () =>
      Promise.reject(new TellwireError("BROKER_UNAVAILABLE", "the broker does not answer", { retryAfterMs: 2_000 })),
  };
  const broken = await startApi({ broker });
  try {
    const { clients } = await broken.addOrganization();
    const error = await errorOf(clients.events.publishEvent({ event: { type: "a", data } }));
    expect(error).toMatchObject({ reason: "BROKER_UNAVAILABLE", code: Code.Unavailable, retryDelayMs: 2_000 });
    const [answer] = await answersOf(clients.events, [{ event: { type: "a", data } }]);
    expect(answer?.result).toMatchObject({ case: "error", value: { code: Code.Unavailable } });
    expect(broken.serverFailures).toHaveLength(2);
  } finally {
    await broken.close();
  }
});

it("recorded events are read by each of their ids, and listed by type and time, page by page", async () => {
  const { clients, id } = await api.addOrganization();
  const organizationId = parseId("organization", id)!;
  const ids: string[] = [];
  for (let index = 0; index < 5; index += 1) {
    ids.unshift(
      await record(organizationId, { externalId: `own-${index}`, type: index === 2 ? "x" : "y", minute: index }),
    );
  }
  const { event } = await clients.events.getEvent({ id: "own-3" });
  expect(event).toMatchObject({ id: ids[1], externalId: "own-3", organizationId: id, type: "y" });
  expect(toJson(ValueSchema, event!.data!) as JsonValue).toEqual({ n: 1, big: "Infinity" });
  expect((await clients.events.getEvent({ id: ids[1]! })).event).toEqual(event);
  expect((await clients.events.getEvent({ id: parseId("event", ids[1]!)! })).event).toEqual(event);

  const first = await clients.events.listEvents({ pageSize: 3 });
  const second = await clients.events.listEvents({ pageSize: 3, pageToken: first.nextPageToken });
  expect([...first.events, ...second.events].map((listed) => listed.id)).toEqual(ids);
  expect(second.nextPageToken).toBe("");
  expect((await clients.events.listEvents({ type: "x" })).events.map((listed) => listed.id)).toEqual([ids[2]]);
  const between = await clients.events.listEvents({ receivedAfter: minute(1), receivedBefore: minute(3) });
  expect(between.events.map((listed) => listed.id)).toEqual([ids[2], ids[3]]);
  const all = await api.operator.events.listEvents({ pageSize: 200 });
  expect(all.events.length).toBeGreaterThanOrEqual(5);

  expect((await errorOf(clients.events.getEvent({ id: "nobody" }))).reason).toBe("EVENT_NOT_FOUND");
  const own = await errorOf(api.operator.events.getEvent({ id: "own-3" }));
  expect(own).toMatchObject({ reason: "ORGANIZATION_REQUIRED", fields: { organization_id: expect.any(String) } });
  expect((await api.operator.events.getEvent({ id: "own-3", organizationId: id })).event?.id).toBe(ids[1]);
  const wrong = await errorOf(clients.events.listEvents({ pageSize: 3, type: "x", pageToken: first.nextPageToken }));
  expect(wrong.reason).toBe("INVALID_PAGE_TOKEN");
});

it("an id that two organizations chose is ambiguous to an operator who names none", async () => {
  const uuid = "019a7b1e-0000-7000-8000-00000000000a";
  const one = await api.addOrganization();
  const two = await api.addOrganization();
  for (const { id } of [one, two]) await record(parseId("organization", id)!, { id: uuid });
  expect((await errorOf(api.operator.events.getEvent({ id: uuid }))).reason).toBe("ORGANIZATION_REQUIRED");
  const { event } = await api.operator.events.getEvent({ id: uuid, organizationId: two.id });
  expect(event?.organizationId).toBe(two.id);
  expect((await one.clients.events.getEvent({ id: uuid })).event?.organizationId).toBe(one.id);
});

it("of an id that was used again another day, the newest event is read, and a list has both", async () => {
  const { id, clients } = await api.addOrganization();
  const uuid = "019a7b1e-0000-7000-8000-00000000000b";
  await record(parseId("organization", id)!, { id: uuid, type: "old", minute: 0 });
  await record(parseId("organization", id)!, { id: uuid, type: "new", minute: 4 });
  expect((await api.operator.events.getEvent({ id: uuid })).event?.type).toBe("new");
  expect((await clients.events.listEvents({})).events.map(({ type }) => type)).toEqual(["new", "old"]);
});

function take(message: IncomingMessage): void {
  const decoded = decodeEventMessage(message, { maxPayloadBytes: 262_144 });
  if (decoded.kind === "event") published.push(decoded.event);
  message.ack();
}

async function publishedEvent(eventId: string): Promise<EventRecord> {
  const id = parseId("event", eventId);
  return await waitFor(() => published.find((event) => event.id === id), { what: `the event ${eventId}` });
}

async function answersOf(
  events: Client<typeof EventService>,
  requests: object[],
): Promise<PublishEventStreamResponse[]> {
  async function* stream() {
    yield* requests;
  }
  const answers: PublishEventStreamResponse[] = [];
  for await (const answer of events.publishEventStream(stream())) answers.push(answer);
  return answers;
}

interface Recorded {
  id?: string;
  externalId?: string;
  type?: string;
  minute?: number;
}

async function record(
  organizationId: string,
  { id, externalId, type = "a", minute: at = 0 }: Recorded,
): Promise<string> {
  const uuid = id ?? eventIdOfExternalId(organizationId, externalId ?? "");
  const time = new Date(Number(minute(at).seconds) * 1000);
  await api.database.em().insert(EventEntity, {
    id: uuid,
    organizationId,
    externalId: externalId ?? null,
    type,
    dataJson: '{"n":1,"big":1e999}',
    source: null,
    subject: null,
    projectId: null,
    orderingKey: null,
    traceparent: null,
    occurredAt: time,
    receivedAt: time,
  });
  return publicId("event", uuid);
}

function minute(index: number) {
  return timestampFromMs(newYear + (index - 2) * 60_000);
}

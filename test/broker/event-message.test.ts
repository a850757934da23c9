import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { IncomingMessage, RejectReason } from "../../src/broker/broker.ts";
import { type DecodedMessage, decodeEventMessage, encodeEventMessage } from "../../src/broker/event-message.ts";
import type { EventRecord } from "../../src/domain/event.ts";
import { eventIdOfExternalId, eventIdOfMessage, publicId } from "../../src/domain/ids.ts";

const organization = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
const uuid = "0190a1b2-0000-7000-8000-000000000001";
const publishedAt = new Date("2026-05-01T12:00:00.123Z");
const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

interface Given {
  subject?: string;
  headers?: Record<string, string>;
  headersProblem?: string;
  body?: string | Uint8Array;
}

function incoming({ subject, headers = {}, body = "{}", ...rest }: Given): IncomingMessage {
  return {
    place: "TELLWIRE_EVENTS:7",
    sequence: 7,
    subject: subject ?? `tellwire.events.${organization}.invoice.paid`,
    headers,
    body: typeof body === "string" ? Buffer.from(body) : body,
    publishedAt,
    deliveryCount: 1,
    ack: () => {},
    nak: () => {},
    working: () => {},
    ...rest,
  };
}

function decode(given: Given, maxPayloadBytes = 1_000): DecodedMessage {
  return decodeEventMessage(incoming(given), { maxPayloadBytes });
}

function decodeEvent(given: Given): EventRecord {
  const decoded = decode(given);
  if (decoded.kind === "rejected") {
    throw new Error(`${decoded.reason}: ${decoded.detail}`);
  }
  return decoded.event;
}

const cloudEvent = (changes: Record<string, unknown> = {}): Given => ({
  headers: { "Content-Type": "application/cloudevents+json; charset=UTF-8" },
  body: JSON.stringify({
    specversion: "1.0",
    id: "1",
    source: "/shop",
    type: "invoice.paid",
    data: { a: 1 },
    ...changes,
  }),
});

describe("an event message", () => {
  test("with nothing but a subject and a body is an event with an id of its place and the time of publishing", () => {
    expect(decodeEvent({})).toEqual({
      id: eventIdOfMessage("TELLWIRE_EVENTS:7", publishedAt.getTime()),
      organizationId: organization,
      externalId: null,
      type: "invoice.paid",
      dataJson: "{}",
      source: null,
      subject: null,
      projectId: null,
      orderingKey: null,
      traceparent: null,
      occurredAt: publishedAt,
    });
  });

  test("takes every attribute from its header, in any case", () => {
    const headers = {
      "CE-ID": "order-1",
      "Ce-Time": "2026-04-30T23:59:59.5+02:00",
      "ce-source": "/shop",
      "ce-subject": "invoice 7",
      "Tellwire-Project": "p1",
      "TELLWIRE-ORDERING-KEY": "customer 9",
      Traceparent: traceparent,
      "ce-type": "invoice.paid",
    };
    expect(decodeEvent({ headers })).toMatchObject({
      id: eventIdOfExternalId(organization, "order-1"),
      externalId: "order-1",
      occurredAt: new Date("2026-04-30T21:59:59.500Z"),
      source: "/shop",
      subject: "invoice 7",
      projectId: "p1",
      orderingKey: "customer 9",
      traceparent,
    });
  });

  test("names its organization by UUID, in any case, or by org_ id", () => {
    for (const token of [organization, organization.toUpperCase(), publicId("organization", organization)]) {
      expect(decodeEvent({ subject: `tellwire.events.${token}.a` }).organizationId).toBe(organization);
    }
  });

  test.each([
    ["an evt_ id", publicId("event", uuid), { id: uuid, externalId: null }],
    ["a UUID", uuid.toUpperCase(), { id: uuid, externalId: null }],
    [
      "a text of the publisher's own",
      "evt_nonsense",
      { id: eventIdOfExternalId(organization, "evt_nonsense"), externalId: "evt_nonsense" },
    ],
    ["256 characters", "x".repeat(256), { externalId: "x".repeat(256) }],
  ])("has the id of Nats-Msg-Id where that is %s", (_, text, identity) => {
    expect(decodeEvent({ headers: { "Nats-Msg-Id": text } })).toMatchObject(identity);
  });

  test("has the id of ce-id where Nats-Msg-Id is given too", () => {
    expect(decodeEvent({ headers: { "Nats-Msg-Id": "org-1", "ce-id": "1" } }).externalId).toBe("1");
  });

  test("keeps its data byte for byte", () => {
    const body = ' { "b" : 1.50 , "a":12345678901234567890,"a":"\\u0000\\ud800 ü" }\n';
    expect(decodeEvent({ body }).dataJson).toBe(body);
    expect(decodeEvent({ body: "null" }).dataJson).toBe("null");
  });

  test.each([
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    "nonsense",
  ])("is taken without its traceparent where that is none: %s", (text) => {
    expect(decodeEvent({ headers: { traceparent: text } }).traceparent).toBeNull();
  });

  test("counts an empty header as missing", () => {
    expect(decodeEvent({ headers: { "ce-id": "", "ce-time": " ", "tellwire-project": "" } })).toMatchObject({
      externalId: null,
      occurredAt: publishedAt,
      projectId: null,
    });
  });

  test.each<[RejectReason, string, Given]>([
    ["BAD_SUBJECT", "another prefix", { subject: `other.events.${organization}.a` }],
    ["BAD_SUBJECT", "no event type", { subject: `tellwire.events.${organization}` }],
    ["BAD_SUBJECT", "an organization that is none", { subject: "tellwire.events.acme.a" }],
    ["BAD_SUBJECT", "the id of something else", { subject: `tellwire.events.${publicId("webhook", uuid)}.a` }],
    ["BAD_EVENT_TYPE", "an event type with other characters", { subject: `tellwire.events.${organization}.a:b` }],
    [
      "BAD_EVENT_TYPE",
      "an event type of 129 characters",
      { subject: `tellwire.events.${organization}.${"a".repeat(129)}` },
    ],
    ["BAD_ID", "an id of 257 characters", { headers: { "ce-id": "x".repeat(257) } }],
    ["BAD_ID", "an id with a space", { headers: { "ce-id": "a b" } }],
    ["BAD_ID", "an id beyond ASCII", { headers: { "Nats-Msg-Id": "ü" } }],
    ["BAD_TIME", "a time that is no timestamp", { headers: { "ce-time": "yesterday" } }],
    ["BAD_HEADER", "a subject beyond ASCII", { headers: { "ce-subject": "ü" } }],
    ["BAD_HEADER", "a subject of 257 characters", { headers: { "ce-subject": "x".repeat(257) } }],
    ["BAD_HEADER", "a source with a space", { headers: { "ce-source": "a b" } }],
    ["BAD_HEADER", "a project of 129 characters", { headers: { "tellwire-project": "x".repeat(129) } }],
    ["BAD_HEADER", "a project with a space", { headers: { "tellwire-project": "a b" } }],
    ["BAD_HEADER", "an ordering key of 257 characters", { headers: { "tellwire-ordering-key": "x".repeat(257) } }],
    ["BAD_HEADER", "another ce-type than the subject's", { headers: { "ce-type": "invoice.sent" } }],
    ["BAD_HEADER", "headers that cannot be read", { headersProblem: "' ' is not valid" }],
    ["BAD_JSON", "an empty body", { body: "" }],
    ["BAD_JSON", "a body that is no JSON", { body: "{a:1}" }],
    ["BAD_JSON", "two values", { body: "1 2" }],
    ["BAD_JSON", "a body that is not UTF-8", { body: Uint8Array.of(0x22, 0xff, 0x22) }],
    ["BAD_JSON", "a byte order mark", { body: "\ufeff{}" }],
    ["TOO_LARGE", "1,001 bytes of data", { body: JSON.stringify(`${"ü".repeat(499)}x`) }],
    ["TOO_LARGE", "1,001 bytes of data in a CloudEvent", cloudEvent({ data: "x".repeat(999) })],
    ["BAD_CLOUDEVENT", "a body that is no JSON", { ...cloudEvent(), body: "{" }],
    ["BAD_CLOUDEVENT", "a body that is no object", { ...cloudEvent(), body: "[]" }],
    ["BAD_CLOUDEVENT", "another version", cloudEvent({ specversion: "0.3" })],
    ["BAD_CLOUDEVENT", "no id", cloudEvent({ id: undefined })],
    ["BAD_CLOUDEVENT", "an empty id", cloudEvent({ id: "" })],
    ["BAD_CLOUDEVENT", "an id that is a number", cloudEvent({ id: 1 })],
    ["BAD_CLOUDEVENT", "no source", cloudEvent({ source: undefined })],
    ["BAD_CLOUDEVENT", "no type", cloudEvent({ type: undefined })],
    ["BAD_CLOUDEVENT", "another type than the subject's", cloudEvent({ type: "invoice.sent" })],
    ["BAD_CLOUDEVENT", "data that is not JSON", cloudEvent({ datacontenttype: "text/xml", data: "<a/>" })],
    ["BAD_CLOUDEVENT", "no data", cloudEvent({ data: undefined })],
    ["BAD_CLOUDEVENT", "data twice", cloudEvent({ data_base64: "e30=" })],
    ["BAD_CLOUDEVENT", "data_base64 that is none", cloudEvent({ data: undefined, data_base64: "e30" })],
    ["BAD_CLOUDEVENT", "data_base64 that is no JSON", cloudEvent({ data: undefined, data_base64: "aGVsbG8=" })],
    ["BAD_CLOUDEVENT", "a subject beyond ASCII", cloudEvent({ subject: "ü" })],
    ["BAD_ID", "an id with a space", cloudEvent({ id: "a b" })],
    ["BAD_TIME", "a time that is no timestamp", cloudEvent({ time: "2026-02-30T00:00:00Z" })],
    [
      "BAD_CLOUDEVENT",
      "several events",
      { headers: { "content-type": "application/cloudevents-batch+json" }, body: "[]" },
    ],
  ])("is rejected as %s with %s, saying how it should be", (reason, _, given) => {
    const decoded = decode(given);
    expect(decoded).toMatchObject({ kind: "rejected", reason });
    expect((decoded as { detail: string }).detail).toMatch(
      /must|is not taken|required|not both|cannot be read|the most is/,
    );
  });

  test("with exactly as many bytes of data as allowed is taken", () => {
    const body = JSON.stringify(`${"ü".repeat(498)}xx`);
    expect(Buffer.byteLength(body)).toBe(1_000);
    expect(decodeEvent({ body }).dataJson).toBe(body);
  });

  test("is read under a subject prefix that was configured", () => {
    const message = incoming({ subject: `acme.events.${organization}.a.b` });
    const decoded = decodeEventMessage(message, { maxPayloadBytes: 10, subjectPrefix: "acme" });
    expect(decoded).toMatchObject({ kind: "event", event: { type: "a.b" } });
  });
});

describe("a CloudEvent in a message", () => {
  test("gives its attributes, and its data as they stand in the body", () => {
    const raw = '{ "n" : 1.0 , "s":"}]\\"" }';
    const body = `{"data": {"first": 1}, "specversion":"1.0","id":"1","source":"/shop","type":"invoice.paid",
      "time":"2026-01-01T00:00:00Z","subject":"7","datacontenttype":"application/vnd.acme+json; v=1",
      "traceparent":"${traceparent}", "nested":{"data":0}, "d\\u0061ta" : ${raw} , "extension":true}`;
    expect(decodeEvent({ ...cloudEvent(), body })).toMatchObject({
      externalId: "1",
      source: "/shop",
      subject: "7",
      occurredAt: new Date("2026-01-01T00:00:00Z"),
      traceparent,
      dataJson: raw,
    });
  });

  test("may carry its JSON in base64", () => {
    const body = Buffer.from('{"a": 1}').toString("base64");
    expect(decodeEvent(cloudEvent({ data: undefined, data_base64: body })).dataJson).toBe('{"a": 1}');
  });

  test.each([null, 0, false, "", []])("may have %j as its data", (data) => {
    expect(decodeEvent(cloudEvent({ data })).dataJson).toBe(JSON.stringify(data));
  });

  test("takes project, ordering key and a trace context that it has not itself from the headers", () => {
    const given = cloudEvent({ traceparent: 5 });
    const headers = {
      ...given.headers,
      "tellwire-project": "p",
      "tellwire-ordering-key": "k",
      traceparent,
      "ce-id": "x",
    };
    expect(decodeEvent({ ...given, headers })).toMatchObject({
      externalId: "1",
      projectId: "p",
      orderingKey: "k",
      traceparent,
    });
  });
});

test("an event that is encoded and decoded is the same event", () => {
  const ascii = (low: number, high: number, maxLength: number) =>
    fc
      .array(fc.integer({ min: low, max: high }), { minLength: 1, maxLength })
      .map((codes) => String.fromCharCode(...codes))
      .filter((text) => text.trim() === text);
  const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
  const identity = fc.oneof(
    fc.uuid().map((id) => ({ id, externalId: null })),
    ascii(0x21, 0x7e, 256)
      .filter((text) => !/^[0-9a-f-]{36}$|^evt_/i.test(text))
      .map((externalId) => ({ id: eventIdOfExternalId(organization, externalId), externalId })),
  );
  const event = fc.record({
    type: fc.stringMatching(/^[A-Za-z0-9_-]{1,20}(\.[A-Za-z0-9_-]{1,20}){0,4}$/),
    dataJson: fc.json(),
    source: orNull(ascii(0x21, 0x7e, 1024)),
    subject: orNull(ascii(0x20, 0x7e, 256)),
    projectId: orNull(ascii(0x21, 0x7e, 128)),
    orderingKey: orNull(ascii(0x20, 0x7e, 256)),
    traceparent: fc.constantFrom(null, traceparent),
    occurredAt: fc.date({
      min: new Date("0001-01-01T00:00:00Z"),
      max: new Date("9999-12-31T23:59:59.999Z"),
      noInvalidDate: true,
    }),
  });
  fc.assert(
    fc.property(identity, event, (identified, rest) => {
      const whole: EventRecord = { ...identified, organizationId: organization, ...rest };
      const message = { ...incoming({}), ...encodeEventMessage(whole) };
      expect(decodeEventMessage(message, { maxPayloadBytes: 1_000_000 })).toEqual({ kind: "event", event: whole });
    }),
  );
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { formatOf, type WebhookFormat } from "../../src/domain/formats/catalogue.ts";
import type { PayloadEvent } from "../../src/domain/formats/payload.ts";

const event: PayloadEvent = {
  id: "evt_01h455vb4pex5vsknk084sn02q",
  uuid: "01890a5d-ac96-774b-bcce-b302099a8057",
  type: "invoice.paid",
  occurredAt: new Date("2026-03-04T05:06:07.089Z"),
  dataJson: '{ "total": 12345678901234567890.10, "b": 1, "a": [ ] }',
  organizationId: "01890a5d-ac96-774b-bcce-b302099a8057",
};

test("the standard format wraps the data's text without changing it", () => {
  const { contentType, body, headers } = encodePayload("STANDARD", event);
  expect(contentType).toBe("application/json");
  expect(headers).toEqual({});
  expect(body.toString()).toBe(
    '{"type":"invoice.paid","timestamp":"2026-03-04T05:06:07.089Z","data":{ "total": 12345678901234567890.10, "b": 1, "a": [ ] }}',
  );
});

test("a structured CloudEvent holds every attribute and the data's text", () => {
  const { contentType, body } = encodePayload("CLOUDEVENTS_STRUCTURED", { ...event, subject: 'in "1"' });
  expect(contentType).toBe("application/cloudevents+json; charset=utf-8");
  expect(body.toString()).toContain(`"data":${event.dataJson}}`);
  expect(JSON.parse(body.toString())).toMatchObject({
    specversion: "1.0",
    id: event.id,
    source: "urn:tellwire:organization:org_01h455vb4pex5vsknk084sn02q",
    type: "invoice.paid",
    time: "2026-03-04T05:06:07.089Z",
    subject: 'in "1"',
    datacontenttype: "application/json",
  });
});

test("a binary CloudEvent has the data alone as its body and the attributes as headers", () => {
  const { contentType, body, headers } = encodePayload("CLOUDEVENTS_BINARY", event);
  expect(contentType).toBe("application/json");
  expect(body.toString()).toBe(event.dataJson);
  expect(headers).toEqual({
    "ce-specversion": "1.0",
    "ce-id": event.id,
    "ce-source": "urn:tellwire:organization:org_01h455vb4pex5vsknk084sn02q",
    "ce-type": "invoice.paid",
    "ce-time": "2026-03-04T05:06:07.089Z",
  });
});

test("the publisher's own id and source identify the CloudEvent", () => {
  const own = { ...event, externalId: "order-1", source: "https://shop.example/orders" };
  expect(encodePayload("CLOUDEVENTS_BINARY", own).headers).toMatchObject({
    "ce-id": "order-1",
    "ce-source": "https://shop.example/orders",
  });
  expect(JSON.parse(encodePayload("CLOUDEVENTS_STRUCTURED", own).body.toString())).toMatchObject({
    id: "order-1",
    source: "https://shop.example/orders",
  });
});

test("an empty subject is left out, because a CloudEvents attribute must not be empty", () => {
  const empty = { ...event, subject: "" };
  expect(encodePayload("CLOUDEVENTS_BINARY", empty).headers).not.toHaveProperty("ce-subject");
  expect(JSON.parse(encodePayload("CLOUDEVENTS_STRUCTURED", empty).body.toString())).not.toHaveProperty("subject");
});

test("attribute values in headers are percent-encoded as the HTTP binding's example", () => {
  const { headers } = encodePayload("CLOUDEVENTS_BINARY", { ...event, subject: "Euro \u20ac \u{1f600}" });
  expect(headers["ce-subject"]).toBe("Euro%20%E2%82%AC%20%F0%9F%98%80");
});

test("every subject survives the way through a header, and none can break out of it", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (subject) => {
      const encoded = encodePayload("CLOUDEVENTS_BINARY", { ...event, subject }).headers["ce-subject"]!;
      expect(encoded).toMatch(/^[\x21\x23-\x7e]+$/);
      expect(decodeURIComponent(encoded)).toBe(subject);
    }),
  );
});

test("any JSON text arrives as it was, in each format", () => {
  fc.assert(
    fc.property(fc.json(), (dataJson) => {
      const of = (format: WebhookFormat) => encodePayload(format, { ...event, dataJson }).body.toString();
      expect(JSON.parse(of("STANDARD")).data).toEqual(JSON.parse(dataJson));
      expect(JSON.parse(of("CLOUDEVENTS_STRUCTURED")).data).toEqual(JSON.parse(dataJson));
      expect(of("CLOUDEVENTS_BINARY")).toBe(dataJson);
    }),
  );
});

function encodePayload(format: WebhookFormat, payloadEvent: PayloadEvent) {
  return formatOf(format).encode(payloadEvent, null);
}

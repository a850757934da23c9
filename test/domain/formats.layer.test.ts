import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatOf, type WebhookFormat } from "../../src/domain/formats/catalogue.ts";
import type { PayloadEvent } from "../../src/domain/formats/payload.ts";

const event: PayloadEvent = {
  id: "evt_64a9z6jezk9v3sst3qv7kt9ya6",
  uuid: "c12f340d-3b62-4cf1-9b93-ef4d754cfe69",
  type: "message.sent",
  occurredAt: new Date("2015-09-17T20:46:47.561Z"),
  dataJson: "{}",
  organizationId: "01890a5d-ac96-774b-bcce-b302099a8057",
};

/** One `layer` entry of the vectors: the body of an event without data, its secret, and its signature. */
const vectors = JSON.parse(readFileSync(new URL("../vectors/dialect-signatures.json", import.meta.url), "utf8")) as {
  body: string;
  layer: { secret: string; "layer-webhook-signature": string };
};

function headersOf(format: WebhookFormat, secrets: string[], dataJson = "{}") {
  const { parseSecret, sign, encode } = formatOf(format);
  const keys = secrets.map((secret) => {
    const parsed = parseSecret(secret);
    if (parsed.kind === "refused") throw new Error(parsed.reason);
    return parsed.key;
  });
  const payload = encode({ ...event, dataJson }, null);
  const deliveryId = "0d0d0d0d-0000-4000-8000-000000000001";
  const webhookId = "f5ef2b54-0991-11e5-a6c0-1697f925ec7b";
  const request = { payload, eventId: event.id, eventType: event.type, deliveryId, webhookId, now: 0, keys };
  return { payload, headers: sign(request) };
}

describe("Layer's signatures", () => {
  it("the vector holds: the body, and its HMAC-SHA1 with the secret's text as the key", () => {
    const { payload, headers } = headersOf("LAYER_1_0", [vectors.layer.secret]);
    expect(payload.body.toString()).toBe(vectors.body);
    expect(headers["layer-webhook-signature"]).toBe(vectors.layer["layer-webhook-signature"]);
  });

  it("during a rotation the newest secret signs, as the header has room for one signature", () => {
    const { headers } = headersOf("LAYER_2_0", [vectors.layer.secret, "old"]);
    expect(headers).toEqual(headersOf("LAYER_2_0", [vectors.layer.secret]).headers);
  });

  it.each([
    ["LAYER_PRERELEASE", "1.0", "application/json"],
    ["LAYER_1_0", "1.0", "application/vnd.layer.webhooks+json; version=1.0"],
    ["LAYER_2_0", "2.0", "application/vnd.layer.webhooks+json; version=2.0"],
    ["LAYER_3_0", "3.0", "application/vnd.layer.webhooks+json; version=3.0"],
  ] as const)("%s sends its own headers", (format, version, contentType) => {
    const { payload, headers } = headersOf(format, ["s"]);
    expect(payload.contentType).toBe(contentType);
    expect(headers).toEqual({
      "user-agent": `layer-webhooks/${version}`,
      "layer-webhook-event-type": "message.sent",
      "layer-webhook-request-id": "0d0d0d0d-0000-4000-8000-000000000001",
      "layer-webhook-id": "f5ef2b54-0991-11e5-a6c0-1697f925ec7b",
      "layer-webhook-signature": expect.stringMatching(/^[0-9a-f]{40}$/),
    });
  });
});

describe("Layer's bodies", () => {
  const bodyOf = (format: WebhookFormat, dataJson: string, configJson: string | null = null) =>
    formatOf(format)
      .encode({ ...event, dataJson }, configJson)
      .body.toString();

  it("the data stands beside the event, its actor in the event, and the config after them", () => {
    expect(bodyOf("LAYER_2_0", '{"message":{"id":1},"actor":{"user_id":"12345"}}', '{"key1": "value1"}')).toBe(
      '{"event":{"created_at":"2015-09-17T20:46:47.561Z","type":"message.sent","id":"c12f340d-3b62-4cf1-9b93-ef4d754cfe69",' +
        '"actor":{"user_id":"12345"}},"message":{"id":1},"config":{"key1":"value1"}}',
    );
  });

  it("before the versions, the event's metadata stood at the top", () => {
    expect(bodyOf("LAYER_PRERELEASE", '{"user":{"id":1}}', '{"key1": "value1"}')).toBe(
      '{"event_timestamp":"2015-09-17T20:46:47.561Z","event_type":"message.sent",' +
        '"event_id":"c12f340d-3b62-4cf1-9b93-ef4d754cfe69","user":{"id":1},"config":{"key1":"value1"}}',
    );
  });

  it("what the format says itself is not replaced by data of the same name", () => {
    const { event: written, config } = JSON.parse(bodyOf("LAYER_1_0", '{"event":"no","config":"no"}', '{"a":1}'));
    expect([written.type, config]).toEqual(["message.sent", { a: 1 }]);
    expect(JSON.parse(bodyOf("LAYER_PRERELEASE", '{"event_type":"no"}')).event_type).toBe("message.sent");
  });

  it("data that is no object stands under data", () => {
    for (const dataJson of ["[1]", '"text"', "null", "7"]) {
      expect(JSON.parse(bodyOf("LAYER_3_0", dataJson)).data).toEqual(JSON.parse(dataJson));
    }
  });

  it("receivers that parse a body and write it again get the same bytes, whatever the data and the config are", () => {
    const formats = fc.constantFrom("LAYER_PRERELEASE", "LAYER_1_0", "LAYER_2_0", "LAYER_3_0");
    const config = fc.option(fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value, null, 1)));
    fc.assert(
      fc.property(formats, fc.json(), config, (format, dataJson, configJson) => {
        const body = bodyOf(format as WebhookFormat, dataJson, configJson);
        expect(JSON.stringify(JSON.parse(body))).toBe(body);
      }),
    );
  });

  it("texts, escapes and numbers that JSON can write in several ways come out as JSON.stringify writes them", () => {
    const body = bodyOf(
      "LAYER_1_0",
      String.raw`{ "a": "Zo\u00eb \/ \ud83d\ude00 \ud800", "n": [1.50e2, -0, 1E3], "2": 1 }`,
    );
    expect(body).toContain('"a":"Zoë / 😀 \\ud800","n":[150,0,1000]');
    expect(JSON.stringify(JSON.parse(body))).toBe(body);
  });

  it("data that is nested too deep to be written again is sent as it was published", () => {
    const deep = `{"actor":1,"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    const body = bodyOf("LAYER_1_0", deep, '{"key1":"value1"}');
    expect(body.endsWith(`"config":{"key1":"value1"},"data":${deep}}`)).toBe(true);
    expect(JSON.parse(body).event.id).toBe(event.uuid);
  });
});

it("a secret that is made for a Layer webhook is text of 256 random bits", () => {
  const { generateSecret, parseSecret } = formatOf("LAYER_1_0");
  const secret = generateSecret(randomBytes);
  expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(parseSecret(secret).kind).toBe("key");
});

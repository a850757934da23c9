import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { formatOf } from "../../src/domain/formats/catalogue.ts";
import { HmacKey } from "../../src/domain/hmac-key.ts";

const vectors = JSON.parse(readFileSync(new URL("../vectors/dialect-signatures.json", import.meta.url), "utf8")) as {
  body: string;
  verifik: { secret: string; "X-Verifik-Signature": string };
};

const secret = vectors.verifik.secret;
const request = {
  payload: { contentType: "application/json", body: Buffer.from(vectors.body), headers: {} },
  eventId: "evt_01k8djrfaefx88mtvwhpf0y6hb",
  eventType: "message.sent",
  deliveryId: "0198c0de-0000-7000-8000-000000000000",
  webhookId: "0198c0de-0000-7000-8000-000000000001",
  now: 0,
};

it("the signature is that of the vector", () => {
  const keys = [new HmacKey(Buffer.from(secret))];
  expect(formatOf("VERIFIK").sign({ ...request, keys })).toEqual({
    "x-verifik-signature": vectors.verifik["X-Verifik-Signature"],
  });
});

it("during a rotation the newest secret signs alone, for the header has room for one signature", () => {
  const keys = [new HmacKey(Buffer.from(secret)), new HmacKey(Buffer.from("the old one"))];
  expect(formatOf("VERIFIK").sign({ ...request, keys })["x-verifik-signature"]).toBe(
    vectors.verifik["X-Verifik-Signature"],
  );
});

it("the data goes out as it was published, to the last digit and space", () => {
  const event = {
    id: request.eventId,
    uuid: request.webhookId,
    type: "login.completed",
    occurredAt: new Date(0),
    dataJson: '{ "amount": 12345678901234567890.10 }',
    organizationId: "org_01k8djrfaefx88mtvwhpf0y6hb",
  };
  const { body, contentType } = formatOf("VERIFIK").encode(event, null);
  expect(contentType).toBe("application/json");
  expect(body.toString()).toBe(
    `{"id":"${event.id}","type":"login.completed","data":{ "amount": 12345678901234567890.10 }}`,
  );
});

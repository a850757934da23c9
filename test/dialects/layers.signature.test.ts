import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { formatOf } from "../../src/domain/formats/catalogue.ts";
import type { PayloadEvent } from "../../src/domain/formats/payload.ts";

const layers = formatOf("LAYERS");
const event: PayloadEvent = {
  id: "evt_01h455vb4pex5vsknk084sn02q",
  uuid: "01890a5d-ac96-774b-bcce-b302099a8057",
  type: "job.completed",
  occurredAt: new Date("2026-03-04T05:06:07.089Z"),
  dataJson: '{ "total": 12345678901234567890.10 }',
  organizationId: "01890a5d-ac96-774b-bcce-b302099a8057",
};

function sign(body: string, nowMs: number, secrets: readonly string[]) {
  return layers.sign({
    payload: { contentType: "application/json", body: Buffer.from(body), headers: {} },
    eventId: event.id,
    eventType: event.type,
    deliveryId: event.uuid,
    webhookId: event.uuid,
    now: nowMs,
    keys: secrets.map((secret) => {
      const parsed = layers.parseSecret(secret);
      if (parsed.kind === "refused") throw new Error(parsed.reason);
      return parsed.key;
    }),
  });
}

it("the signature is that of the shared vector", () => {
  const file = new URL("../vectors/dialect-signatures.json", import.meta.url);
  const vectors = JSON.parse(readFileSync(file, "utf8"));
  const { secret, t, "X-Layers-Signature": expected } = vectors.layers;
  expect(sign(vectors.body, t * 1000 + 999, [secret])).toEqual({ "x-layers-signature": expected });
});

it("each secret signs, in the order of the secrets", () => {
  const v1 = (secret: string) => `v1=${createHmac("sha256", secret).update("7.{}").digest("hex")}`;
  expect(sign("{}", 7_000, ["whsec_new", "whsec_old"])).toEqual({
    "x-layers-signature": `t=7,${v1("whsec_new")},${v1("whsec_old")}`,
  });
});

it("the data's text is sent as it stands, and a replay names the original delivery beside it", () => {
  expect(layers.encode(event, null).body.toString()).toBe(
    '{"id":"evt_01h455vb4pex5vsknk084sn02q","type":"job.completed","createdAt":"2026-03-04T05:06:07.089Z",' +
      '"apiVersion":"v1","data":{ "total": 12345678901234567890.10 }}',
  );
  const replay = JSON.parse(layers.encode({ ...event, replayOf: event.uuid }, null).body.toString());
  expect(replay).toMatchObject({ data: {}, replayOf: event.uuid });
});

it.each(["", "secret", "whsec_", "whsec_with space", `whsec_${"x".repeat(251)}`])("%j is no secret", (text) => {
  expect(layers.parseSecret(text)).toMatchObject({ kind: "refused" });
});

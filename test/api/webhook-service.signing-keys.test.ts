import { createPublicKey, type KeyObject, randomBytes, verify } from "node:crypto";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  SigningAlgorithm,
  VerificationMethod,
  type Webhook,
  WebhookFormat,
  WebhookStatus,
} from "../../gen/tellwire/v1/webhook_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { generatePrivateKey } from "../../src/domain/signing-key.ts";
import { WebhookSecretEntity } from "../../src/store/entities/webhook-secret.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "../support/receiver.ts";
import { errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

const { ED25519, HMAC, UNSPECIFIED } = SigningAlgorithm;
const vouched = { method: VerificationMethod.VOUCHED };

let api: TestApi;
let receiver: Receiver;
let organizationId: string;
beforeAll(async () => {
  api = await startApi();
  receiver = await startReceiver();
  organizationId = (await api.addOrganization()).id;
});
afterAll(async () => {
  await api.close();
  await receiver.close();
});

describe("a webhook with a key pair", () => {
  it("is told its public key, and no answer ever shows the private one, which is stored sealed", async () => {
    const created = await create({ signingAlgorithm: ED25519 });
    const id = created.webhook!.id;
    expect(created).toMatchObject({ signingSecret: "", webhook: { signingAlgorithm: ED25519 } });
    expect(created.publicKey).toMatch(/^whpk_[A-Za-z0-9+/]{43}=$/);
    // Keys are in the order of their times, which are whole milliseconds.
    api.advance(1);
    const answers = [
      created,
      await api.operator.webhooks.getWebhook({ id }),
      await api.operator.webhooks.updateWebhook({ webhook: { id, description: "x" } }),
      await api.operator.webhooks.listWebhooks({ organizationId }),
      await api.operator.webhooks.rotateWebhookSecret({ id }),
    ];
    expect(JSON.stringify(answers, bigintAsText)).not.toContain("whsk_");
    const webhookId = parseId("webhook", id)!;
    const rows = await api.database.em().find(WebhookSecretEntity, { webhookId }, { orderBy: { id: "asc" } });
    expect(rows).toHaveLength(2);
    for (const { sealed } of rows) {
      expect(api.secretBox.open(sealed, webhookId)).toMatch(/^whsk_[A-Za-z0-9+/]{86}==$/);
      expect(Buffer.from(sealed).toString("latin1")).not.toContain("whsk_");
    }
    expect(`whpk_${Buffer.from(rows[0]!.publicKey!).toString("base64")}`).toBe(created.publicKey);
  });

  it("gets requests that verify with it, and with no other key", async () => {
    const [one, other] = [await create({ signingAlgorithm: ED25519 }), await create({ signingAlgorithm: ED25519 })];
    const request = await test(one.webhook);
    expect(request.headers["webhook-signature"]).toMatch(/^v1a,[A-Za-z0-9+/]{86}==$/);
    expect(verifies(one.publicKey, request)).toBe(true);
    expect(verifies(other.publicKey, request)).toBe(false);
    expect(verifies(one.publicKey, { ...request, body: `${request.body} ` })).toBe(false);
  });

  it.each([WebhookFormat.CLOUDEVENTS_BINARY, WebhookFormat.CLOUDEVENTS_STRUCTURED])(
    "in the format %i too",
    async (format) => {
      const { webhook, publicKey } = await create({ signingAlgorithm: ED25519, format });
      expect(verifies(publicKey, await test(webhook))).toBe(true);
    },
  );

  it("takes a private key that is given, and does not show it again", async () => {
    const given = generatePrivateKey(randomBytes);
    const publicHalf = Buffer.from(given.replace("whsk_", ""), "base64").toString("base64", 32);
    const created = await create({ signingSecret: given });
    expect(created).toMatchObject({ signingSecret: "", publicKey: `whpk_${publicHalf}` });
    expect(created.webhook?.signingAlgorithm).toBe(ED25519);
    expect(verifies(created.publicKey, await test(created.webhook))).toBe(true);
    const rotated = await api.operator.webhooks.rotateWebhookSecret({
      id: created.webhook!.id,
      signingSecret: generatePrivateKey(randomBytes),
    });
    expect(rotated.signingSecret).toBe("");
    expect(rotated.publicKey).toMatch(/^whpk_/);
  });
});

describe("a rotation", () => {
  it("keeps the algorithm where it says nothing of it, and signs with both keys for the overlap", async () => {
    const before = await create({ signingAlgorithm: ED25519 });
    const id = before.webhook!.id;
    const after = await api.operator.webhooks.rotateWebhookSecret({ id, overlap: { seconds: 60n } });
    const request = await test(before.webhook);
    expect(request.headers["webhook-signature"]).toMatch(/^v1a,\S{88} v1a,\S{88}$/);
    expect([before, after].map(({ publicKey }) => verifies(publicKey, request))).toEqual([true, true]);
    api.advance(61_000);
    const later = await test(before.webhook);
    expect([before, after].map(({ publicKey }) => verifies(publicKey, later))).toEqual([false, true]);
    api.advance(-61_000);
  });

  it("mends a webhook whose secret no key opens, also with an overlap", async () => {
    const { webhook } = await create({});
    const id = webhook!.id;
    const lost = createSecretBox({ keys: [randomBytes(32)] }).seal("whsec_x", parseId("webhook", id)!);
    await api.database
      .em()
      .execute("update webhook_secret set sealed = ? where webhook_id = ?", [lost, parseId("webhook", id)]);
    expect((await errorOf(api.operator.webhooks.testWebhook({ id }))).reason).toBe("SECRETS_KEY_MISMATCH");
    const { signingSecret } = await api.operator.webhooks.rotateWebhookSecret({ id });
    const { body, headers } = await test(webhook);
    expect(new StandardWebhook(signingSecret).verify(body, headers as Record<string, string>)).toBeDefined();
  });

  it("keeps the newest three of the replaced keys, whichever of them was to sign longest", async () => {
    const { webhook, publicKey } = await create({ signingAlgorithm: ED25519 });
    const id = webhook!.id;
    const made = [publicKey];
    for (const seconds of [2_500_000n, 2_000_000n, 1_000_000n, 60n, 60n]) {
      api.advance(1);
      made.push((await api.operator.webhooks.rotateWebhookSecret({ id, overlap: { seconds } })).publicKey);
    }
    const request = await test(webhook);
    const signatures = String(request.headers["webhook-signature"]).split(" ");
    const signers = signatures.map((signature) => {
      const signed = { ...request, headers: { ...request.headers, "webhook-signature": signature } };
      return made.findIndex((each) => verifies(each, signed));
    });
    expect(signers).toEqual([5, 4, 3, 2]);
    api.advance(-5);
  });

  it("moves from a secret to a key pair and back, with both signatures meanwhile", async () => {
    const { webhook, signingSecret } = await create({});
    const id = webhook!.id;
    expect(webhook?.signingAlgorithm).toBe(UNSPECIFIED);
    api.advance(1);
    const pair = await api.operator.webhooks.rotateWebhookSecret({ id, signingAlgorithm: ED25519 });
    expect(pair.signingSecret).toBe("");
    expect((await api.operator.webhooks.getWebhook({ id })).webhook?.signingAlgorithm).toBe(ED25519);
    const both = await test(webhook);
    expect(both.headers["webhook-signature"]).toMatch(/^v1a,\S{88} v1,\S{44}$/);
    expect(verifies(pair.publicKey, both)).toBe(true);
    expect(new StandardWebhook(signingSecret).verify(both.body, both.headers as Record<string, string>)).toBeDefined();

    const back = await api.operator.webhooks.rotateWebhookSecret({ id, signingAlgorithm: HMAC, overlap: {} });
    expect(back).toMatchObject({ signingSecret: expect.stringMatching(/^whsec_/), publicKey: "" });
    expect((await api.operator.webhooks.getWebhook({ id })).webhook?.signingAlgorithm).toBe(UNSPECIFIED);
    expect((await test(webhook)).headers["webhook-signature"]).toMatch(/^v1,\S{44}$/);
  });
});

describe("what cannot be", () => {
  it("an algorithm and a secret that are not of a kind are refused, and so is a key pair where receivers know none", async () => {
    const cases = [
      [
        { signingAlgorithm: HMAC, signingSecret: generatePrivateKey(randomBytes) },
        /is HMAC, and the secret is one for ED25519/,
      ],
      [{ signingAlgorithm: ED25519, signingSecret: secretOf(32) }, /is ED25519, and the secret is one for HMAC/],
      [{ signingAlgorithm: ED25519, format: WebhookFormat.LAYERS }, /not for the format LAYERS/],
      [{ signingAlgorithm: ED25519, format: WebhookFormat.VERIFIK }, /not for the format VERIFIK/],
      [{ signingAlgorithm: ED25519, format: WebhookFormat.LAYER_3_0 }, /not for the format LAYER_3_0/],
    ] as const;
    for (const [values, description] of cases) {
      const error = await errorOf(create(values));
      expect(error.reason).toBe("INVALID_FIELDS");
      expect(error.fields["webhook.signing_algorithm"]).toMatch(description);
    }
    const { webhook } = await create({ format: WebhookFormat.LAYERS });
    const error = await errorOf(
      api.operator.webhooks.rotateWebhookSecret({ id: webhook!.id, signingAlgorithm: ED25519 }),
    );
    expect(Object.keys(error.fields)).toEqual(["signing_algorithm"]);
  });

  it("an update does not change the algorithm, and takes back what was read", async () => {
    const { webhook } = await create({ signingAlgorithm: ED25519 });
    const same = await api.operator.webhooks.updateWebhook({ webhook: { ...webhook!, description: "same" } });
    expect(same.webhook).toMatchObject({ description: "same", signingAlgorithm: ED25519 });
    const id = webhook!.id;
    const other = await errorOf(api.operator.webhooks.updateWebhook({ webhook: { id, signingAlgorithm: HMAC } }));
    expect(other.fields["webhook.signing_algorithm"]).toContain("RotateWebhookSecret");
    const masked = api.operator.webhooks.updateWebhook({
      webhook: { id },
      updateMask: { paths: ["signing_algorithm"] },
    });
    expect((await errorOf(masked)).fields.update_mask).toContain("RotateWebhookSecret");
  });

  it("a secret that has expired is no reason against another format", async () => {
    const { webhook } = await create({ signingAlgorithm: ED25519 });
    const id = webhook!.id;
    const rotation = { id, signingAlgorithm: HMAC, overlap: { seconds: 60n } };
    await api.operator.webhooks.rotateWebhookSecret(rotation);
    const change = { webhook: { id, format: WebhookFormat.LAYERS } };
    expect(Object.keys((await errorOf(api.operator.webhooks.updateWebhook(change))).fields)).toEqual([
      "webhook.format",
    ]);
    api.advance(61_000);
    const { webhook: changed } = await api.operator.webhooks.updateWebhook(change);
    expect(changed?.format).toBe(WebhookFormat.LAYERS);
    expect(await test(webhook)).toMatchObject({ method: "POST" });
    api.advance(-61_000);
  });

  it("a private key never becomes a secret that a receiver is thought to share, by way of another format", async () => {
    const { webhook } = await create({ signingAlgorithm: ED25519 });
    const id = webhook!.id;
    for (const format of [WebhookFormat.LAYER_1_0, WebhookFormat.LAYERS, WebhookFormat.VERIFIK]) {
      const error = await errorOf(api.operator.webhooks.updateWebhook({ webhook: { id, format } }));
      expect(Object.keys(error.fields)).toEqual(["webhook.format"]);
    }
    const format = WebhookFormat.CLOUDEVENTS_BINARY;
    const moved = await api.operator.webhooks.updateWebhook({ webhook: { id, format } });
    expect(moved.webhook).toMatchObject({ format, signingAlgorithm: ED25519 });
  });
});

describe("the size of a secret", () => {
  const bounds = [
    [23, false],
    [24, true],
    [64, true],
    [65, false],
  ] as const;
  it.each(bounds)("of %i bytes is taken by every door: %s", async (bytes, isTaken) => {
    const { webhook } = await create({});
    const doors: [field: string, call: (signingSecret: string) => Promise<unknown>][] = [
      ["webhook.signing_secret", (signingSecret) => create({ signingSecret })],
      [
        "signing_secret",
        (signingSecret) => api.operator.webhooks.rotateWebhookSecret({ id: webhook!.id, signingSecret }),
      ],
    ];
    for (const [field, call] of doors) {
      const signingSecret = secretOf(bytes);
      if (isTaken) {
        expect(await call(signingSecret)).toMatchObject({ signingSecret });
      } else {
        const error = await errorOf(call(signingSecret));
        expect(error.fields[field]).toBe(`must hold 24 to 64 bytes in base64, and holds ${bytes}`);
        expect(error.message).not.toContain(signingSecret.slice(6));
      }
    }
    const previousSecrets = [{ signingSecret: secretOf(bytes), expireTime: { seconds: 4_000_000_000n } }];
    const outcomes = await importOutcomes([
      { signingSecret: secretOf(bytes), previousSecrets: [] },
      { signingSecret: secretOf(32), previousSecrets },
    ]);
    expect(outcomes).toEqual(isTaken ? ["", ""] : ["INVALID_ARGUMENT", "INVALID_ARGUMENT"]);
  });

  it("that is made here is 32 random bytes in every format that says so, and no two are alike", async () => {
    const made = await Promise.all(
      [WebhookFormat.STANDARD, WebhookFormat.STANDARD, WebhookFormat.CLOUDEVENTS_BINARY, WebhookFormat.LAYERS].map(
        async (format) => (await create({ format })).signingSecret,
      ),
    );
    for (const secret of made) expect(Buffer.from(secret.replace("whsec_", ""), "base64")).toHaveLength(32);
    expect(new Set(made).size).toBe(4);
    const verifik = (await create({ format: WebhookFormat.VERIFIK })).signingSecret;
    expect(Buffer.from(verifik, "hex")).toHaveLength(32);
  });

  it("of the formats of other systems is as those systems have it", async () => {
    for (const [format, signingSecret] of [
      [WebhookFormat.VERIFIK, "short"],
      [WebhookFormat.LAYER_1_0, "1234"],
      [WebhookFormat.LAYERS, "whsec_x"],
    ] as const) {
      expect(await create({ format, signingSecret })).toMatchObject({ signingSecret });
    }
  });
});

it("a webhook that is imported with key pairs signs with them", async () => {
  const [current, previous] = [generatePrivateKey(randomBytes), generatePrivateKey(randomBytes)];
  const id = "01900000-0000-7000-8000-00000000ed25";
  const outcomes = await importOutcomes([
    {
      id,
      signingSecret: current,
      previousSecrets: [
        { signingSecret: previous, expireTime: { seconds: BigInt(Math.ceil(Date.now() / 1000) + 60) } },
      ],
    },
    { signingSecret: current, signingAlgorithm: HMAC, previousSecrets: [] },
  ]);
  expect(outcomes).toEqual(["", "INVALID_ARGUMENT"]);
  const { webhook } = await api.operator.webhooks.getWebhook({ id });
  expect(webhook?.signingAlgorithm).toBe(ED25519);
  const request = await test(webhook);
  for (const text of [current, previous]) {
    expect(verifies(`whpk_${Buffer.from(text.slice(5), "base64").toString("base64", 32)}`, request)).toBe(true);
  }
});

async function create(values: Parameters<typeof webhookFor>[1]) {
  const webhook = webhookFor(receiver.url, { organizationId, verification: vouched, ...values });
  return await api.operator.webhooks.createWebhook({ webhook });
}

type Import = { signingSecret: string; previousSecrets: object[]; id?: string; signingAlgorithm?: SigningAlgorithm };

/** The code of each refusal; empty where it was taken. */
async function importOutcomes(imports: readonly Import[]): Promise<string[]> {
  const { results } = await api.operator.webhooks.importWebhooks({
    imports: imports.map(({ previousSecrets, id = crypto.randomUUID(), ...values }) => ({
      webhook: webhookFor(receiver.url, {
        organizationId,
        verification: vouched,
        status: WebhookStatus.ACTIVE,
        id,
        ...values,
      }),
      previousSecrets,
    })),
  });
  return results.map(({ error }) => (error === undefined ? "" : (codes[error.code] ?? String(error.code))));
}

const codes: Record<number, string> = { 3: "INVALID_ARGUMENT" };

/** Sends a test event, and returns the request that the receiver got. */
async function test(webhook: Webhook | undefined): Promise<ReceivedRequest> {
  const before = receiver.requests.length;
  expect((await api.operator.webhooks.testWebhook({ id: webhook!.id })).success).toBe(true);
  return receiver.requests[before]!;
}

function verifies(publicKey: string, { headers, body }: Pick<ReceivedRequest, "headers" | "body">): boolean {
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  return String(headers["webhook-signature"])
    .split(" ")
    .filter((signature) => signature.startsWith("v1a,"))
    .some((signature) => verify(null, signed, keyOf(publicKey), Buffer.from(signature.slice(4), "base64")));
}

function keyOf(text: string): KeyObject {
  const x = Buffer.from(text.replace("whpk_", ""), "base64").toString("base64url");
  return createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x } });
}

function secretOf(bytes: number): string {
  return `whsec_${randomBytes(bytes).toString("base64")}`;
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

import { randomBytes, randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyUnpack, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import {
  WebhookImportOutcome,
  type WebhookImportResult,
  type WebhookImportSchema,
} from "../../gen/tellwire/v1/webhook_import_pb.ts";
import { VerificationMethod, WebhookFormat, WebhookSchema, WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { parseId, publicId } from "../../src/domain/ids.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { WebhookSecretEntity } from "../../src/store/entities/webhook-secret.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";
import { errorOf, startApi, type TestApi } from "./start-api.ts";

const secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const replaced = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
const longAgo = new Date("2019-05-04T03:02:01.123Z");
const lastYear = new Date("2024-11-21T10:00:00.456Z");

let api: TestApi;
let receiver: Receiver;
let organizationId: string;
beforeAll(async () => {
  api = await startApi();
  receiver = await startReceiver(echoChallenge);
  organizationId = (await api.addOrganization()).id;
  api.useCases.verificationWorker.start();
});
afterAll(async () => {
  await api.close();
  await receiver.close();
});

it("a webhook that moves here keeps its id, secrets, status, times and everything else, and is not asked to prove itself", async () => {
  const before = receiver.requests.length;
  const id = randomUUID();
  const given = webhook({
    id,
    name: "Orders",
    description: "of the old system",
    projectIds: ["p1"],
    eventTypes: ["order.*", "invoice.paid"],
    headers: { "x-b": "2", "x-a": "1" },
    retryPolicy: { delays: [{ seconds: 10n }, { seconds: 30n }], maxAttempts: 3, timeout: { seconds: 1n } },
    disableAfterExhausted: 20,
    status: WebhookStatus.PAUSED,
    statusReason: "its owner is on holiday",
    verification: { method: VerificationMethod.CHALLENGE, verifyTime: timestampFromDate(lastYear) },
    health: {
      lastSuccessTime: timestampFromDate(lastYear),
      lastFailureTime: timestampFromDate(longAgo),
      consecutiveFailures: 2,
      lastError: "500",
      totalAttempts: 12_345_678_901n,
      failedAttempts: 17n,
      consecutiveExhausted: 1,
    },
  });
  const [result] = await importAll([{ webhook: given }]);
  expect(result).toMatchObject({ webhookId: publicId("webhook", id), outcome: WebhookImportOutcome.IMPORTED });
  const { webhook: here } = await api.operator.webhooks.getWebhook({ id });
  expect(here).toEqual({
    ...given,
    signingSecret: "",
    id: publicId("webhook", id),
    format: WebhookFormat.STANDARD,
    etag: here?.etag,
  });
  expect(receiver.requests).toHaveLength(before);
  const stored = await api.database.em().findOneOrFail(WebhookEntity, { id });
  expect(stored).toMatchObject({ createdAt: longAgo, updatedAt: lastYear, verificationDueAt: null });
});

it("a request of a webhook that moved here is signed with the secrets that its receiver knows, those that were replaced too", async () => {
  const id = randomUUID();
  const previousSecrets = [{ signingSecret: replaced, expireTime: timestampFromDate(new Date(Date.now() + 60_000)) }];
  await importAll([{ webhook: webhook({ id }), previousSecrets }]);
  expect((await api.operator.webhooks.testWebhook({ id })).success).toBe(true);
  const { body, headers } = receiver.requests.at(-1)!;
  for (const known of [secret, replaced]) {
    expect(new StandardWebhook(known).verify(body, headers as Record<string, string>)).toBeDefined();
  }
  api.advance(61_000);
  await api.operator.webhooks.testWebhook({ id });
  expect(String(receiver.requests.at(-1)!.headers["webhook-signature"]).split(" ")).toHaveLength(1);
  api.advance(-61_000);
});

it("the formats of other systems come with secrets of their own, and without a verification where their system has none", async () => {
  const verifik = webhook({ id: randomUUID(), format: WebhookFormat.VERIFIK, signingSecret: "short" });
  const layer = webhook({
    id: randomUUID(),
    format: WebhookFormat.LAYER_1_0,
    signingSecret: "1234",
    config: { key: [1, "a", null] },
  });
  const results = await importAll([{ webhook: verifik }, { webhook: layer }]);
  expect(results.map(({ outcome }) => outcome)).toEqual([1, 2].map(() => WebhookImportOutcome.IMPORTED));
  const methods = await Promise.all(
    [verifik, layer].map(async ({ id }) => (await api.operator.webhooks.getWebhook({ id })).webhook?.verification),
  );
  expect(methods).toMatchObject([{ method: VerificationMethod.NONE }, { method: VerificationMethod.CHALLENGE }]);
});

it("an import replaces a secret that no key opens", async () => {
  const given = { webhook: webhook({ id: randomUUID() }) };
  await importAll([given]);
  const lost = createSecretBox({ keys: [randomBytes(32)] }).seal(secret, given.webhook.id);
  const em = api.database.em();
  await em.execute("update webhook_secret set sealed = ? where webhook_id = ?", [lost, given.webhook.id]);
  const [result] = await importAll([given]);
  expect(result).toMatchObject({ outcome: WebhookImportOutcome.UPDATED });
  expect((await api.operator.webhooks.testWebhook({ id: given.webhook.id })).success).toBe(true);
});

it("an import that is repeated changes nothing, in whatever order the database has secrets that end together", async () => {
  const id = randomUUID();
  const expireTime = timestampFromDate(new Date(Date.now() + 60_000));
  const secrets = [replaced, "whsec_AgICAgICAgICAgICAgICAgICAgICAgIC"];
  const given = {
    webhook: webhook({ id }),
    previousSecrets: secrets.map((signingSecret) => ({ signingSecret, expireTime })),
  };
  await importAll([given]);
  const em = api.database.em();
  const where = { webhookId: id, expiresAt: { $ne: null } };
  const [first] = await em.find(WebhookSecretEntity, where, { orderBy: { createdAt: "desc" } });
  const row = { ...first! };
  await em.nativeDelete(WebhookSecretEntity, { id: row.id });
  await em.insert(WebhookSecretEntity, row);
  expect((await importAll([given])).map(({ outcome }) => outcome)).toEqual([WebhookImportOutcome.UNCHANGED]);
});

it("an import that is repeated changes nothing, and one that is newer changes what differs", async () => {
  const id = randomUUID();
  const given = {
    webhook: webhook({
      id,
      headers: { "x-b": "2", "x-a": "1" },
      config: { b: 1, a: { d: 1, c: 2 } },
      verification: { method: VerificationMethod.VOUCHED },
    }),
    previousSecrets: [{ signingSecret: replaced, expireTime: timestampFromDate(new Date(Date.now() + 60_000)) }],
  };
  const outcomes = async (item: MessageInitShape<typeof WebhookImportSchema>) =>
    (await importAll([item])).map(({ outcome }) => outcome);
  expect(await outcomes(given)).toEqual([WebhookImportOutcome.IMPORTED]);
  const { webhook: first } = await api.operator.webhooks.getWebhook({ id });
  api.changed.length = 0;
  expect(await outcomes(given)).toEqual([WebhookImportOutcome.UNCHANGED]);
  expect((await api.operator.webhooks.getWebhook({ id })).webhook).toEqual(first);
  expect(api.changed).toEqual([]);

  expect(await outcomes({ ...given, previousSecrets: [] })).toEqual([WebhookImportOutcome.UPDATED]);
  const later = { updateTime: timestampFromDate(new Date(lastYear.getTime() + 1)), status: WebhookStatus.DISABLED };
  const changed = webhook({ ...given.webhook, ...later, signingSecret: replaced });
  expect(await outcomes({ webhook: changed })).toEqual([WebhookImportOutcome.UPDATED]);
  expect(await outcomes({ webhook: changed })).toEqual([WebhookImportOutcome.UNCHANGED]);
  expect((await api.operator.webhooks.getWebhook({ id })).webhook).toMatchObject(later);
  expect(api.changed.filter((change) => change === parseId("organization", organizationId))).toHaveLength(2);
});

it("what was changed here after the time that an import states is not undone by it", async () => {
  const id = randomUUID();
  await importAll([{ webhook: webhook({ id }) }]);
  await api.operator.webhooks.updateWebhook({ webhook: { id, description: "changed here" } });
  const [result] = await importAll([{ webhook: webhook({ id, description: "changed there" }) }]);
  expect(refusalOf(result)).toMatchObject({ reason: "WEBHOOK_CHANGED_HERE" });
  expect((await api.operator.webhooks.getWebhook({ id })).webhook?.description).toBe("changed here");
  const now = webhook({ id, description: "changed there", updateTime: undefined });
  expect(await importAll([{ webhook: now }])).toMatchObject([{ outcome: WebhookImportOutcome.UPDATED }]);
});

it("what is unverified is verified here", async () => {
  const id = randomUUID();
  api.changed.length = 0;
  await importAll([{ webhook: webhook({ id, status: WebhookStatus.UNVERIFIED }) }]);
  await waitFor(async () => (await api.operator.webhooks.getWebhook({ id })).webhook?.status === WebhookStatus.ACTIVE, {
    what: "the verification",
  });
  // This process is told after the commit; a later test asks what it is told.
  const told = () => api.changed.filter((change) => change === parseId("organization", organizationId));
  await waitFor(() => told().length === 2, { what: "both changes to be told in this process" });
});

it("a webhook that is refused says why, field for field, and does not stop the others", async () => {
  const foreign = randomUUID();
  const { id: other } = await api.addOrganization();
  await importAll([{ webhook: webhook({ id: foreign, organizationId: other }) }]);
  const good = () => webhook({ id: randomUUID() });
  const items: MessageInitShape<typeof WebhookImportSchema>[] = [
    { webhook: good() },
    {},
    { webhook: { url: receiver.url, eventTypes: ["*"] } },
    { webhook: webhook({ id: "wh_x" }) },
    {
      webhook: webhook({
        id: randomUUID(),
        url: "https://me@example.com/",
        headers: { host: "b" },
        signingSecret: "whsec_short",
      }),
      previousSecrets: [
        { signingSecret: "nonsense", expireTime: timestampFromDate(lastYear) },
        { signingSecret: replaced },
      ],
    },
    {
      webhook: webhook({ id: randomUUID(), signingSecret: "nonsense", url: "https://me@example.com/" }),
      previousSecrets: [{ signingSecret: "nonsense too", expireTime: timestampFromDate(lastYear) }],
    },
    { webhook: webhook({ id: foreign }) },
    { webhook: webhook({ id: randomUUID(), organizationId: randomUUID() }) },
    { webhook: webhook({ id: randomUUID(), name: "twice" }) },
    { webhook: webhook({ id: randomUUID(), name: "twice" }) },
    { webhook: webhook({ id: randomUUID(), description: "a\u0000b" }) },
    {
      webhook: webhook({
        id: randomUUID(),
        status: WebhookStatus.UNVERIFIED,
        verification: { method: VerificationMethod.VOUCHED },
      }),
    },
    { webhook: webhook({ id: randomUUID(), health: { totalAttempts: -1n } }) },
    { webhook: webhook({ id: randomUUID(), eventTypes: [] }) },
    { webhook: good() },
  ];
  const results = await importAll(items);
  expect(results.map((result) => refusalOf(result)?.reason)).toEqual([
    undefined,
    "INVALID_FIELDS",
    "INVALID_FIELDS",
    "INVALID_FIELDS",
    "INVALID_FIELDS",
    "INVALID_FIELDS",
    "WEBHOOK_ID_TAKEN",
    "ORGANIZATION_NOT_FOUND",
    undefined,
    "WEBHOOK_NAME_TAKEN",
    "INVALID_FIELDS",
    "INVALID_FIELDS",
    "INVALID_FIELDS",
    "INVALID_FIELDS",
    undefined,
  ]);
  const fields = results.map((result) => refusalOf(result)?.fields ?? []);
  expect(fields[1]).toEqual(["webhook"]);
  expect(fields[2]).toEqual(["webhook.id", "webhook.organization_id", "webhook.signing_secret", "webhook.status"]);
  expect(fields[3]).toEqual(["webhook.id"]);
  expect(fields[4]).toEqual(["previous_secrets[1].expire_time"]);
  expect(fields[5]).toEqual(["webhook.url", "webhook.signing_secret", "previous_secrets[0].signing_secret"]);
  expect(fields[10]).toEqual(["webhook.description"]);
  expect(fields[11]).toEqual(["webhook.status"]);
  expect(fields[12]).toEqual(["webhook.health.total_attempts"]);
  expect(fields[13]).toEqual(["webhook.event_types"]);
  expect(JSON.stringify(results.map(({ error }) => error?.message))).not.toContain("nonsense");
});

it("an import that only validates says what would come of it, and leaves nothing behind", async () => {
  const id = randomUUID();
  api.changed.length = 0;
  const { results } = await api.operator.webhooks.importWebhooks({
    imports: [{ webhook: webhook({ id }) }, { webhook: webhook({ id, url: "https://me@example.com/" }) }],
    validateOnly: true,
  });
  expect(results.map(({ outcome }) => outcome)).toEqual([WebhookImportOutcome.IMPORTED, WebhookImportOutcome.REFUSED]);
  expect((await errorOf(api.operator.webhooks.getWebhook({ id }))).reason).toBe("WEBHOOK_NOT_FOUND");
  expect(api.changed).toEqual([]);
});

it("two imports of one webhook at the same moment import it once", async () => {
  const given = { webhook: webhook({ id: randomUUID() }) };
  const results = await Promise.all([1, 2, 3, 4].map(() => importAll([given])));
  expect(results.map(([result]) => result!.outcome).sort()).toEqual([
    WebhookImportOutcome.IMPORTED,
    WebhookImportOutcome.UNCHANGED,
    WebhookImportOutcome.UNCHANGED,
    WebhookImportOutcome.UNCHANGED,
  ]);
});

it("only an operator imports, at most 500 at a time", async () => {
  const { clients } = await api.addOrganization();
  const item = { webhook: webhook({ id: randomUUID() }) };
  const refused = await errorOf(clients.webhooks.importWebhooks({ imports: [item] }));
  expect(refused).toMatchObject({ code: Code.PermissionDenied, reason: "OPERATOR_REQUIRED" });
  for (const imports of [[], Array.from({ length: 501 }, () => item)]) {
    expect((await errorOf(api.operator.webhooks.importWebhooks({ imports }))).fields).toHaveProperty("imports");
  }
});

it("an organization that moves here keeps its UUID, and is created once", async () => {
  const id = randomUUID();
  const { organization } = await api.operator.organizations.createOrganization({ organization: { id, name: "Moved" } });
  expect(organization).toMatchObject({ id: publicId("organization", id), name: "Moved" });
  const again = await errorOf(api.operator.organizations.createOrganization({ organization: { id, name: "Moved" } }));
  expect(again).toMatchObject({
    code: Code.AlreadyExists,
    reason: "ORGANIZATION_EXISTS",
    metadata: { organization_id: publicId("organization", id) },
  });
  const bad = await errorOf(
    api.operator.organizations.createOrganization({ organization: { id: "x", name: "Moved" } }),
  );
  expect(bad.fields).toHaveProperty(["organization.id"]);
});

/** As another system would write it: active, from long ago. */
function webhook(values: Omit<MessageInitShape<typeof WebhookSchema>, "$typeName">) {
  return create(WebhookSchema, {
    organizationId,
    url: receiver.url,
    eventTypes: ["*"],
    status: WebhookStatus.ACTIVE,
    signingSecret: secret,
    createTime: timestampFromDate(longAgo),
    updateTime: timestampFromDate(lastYear),
    ...values,
  });
}

async function importAll(imports: MessageInitShape<typeof WebhookImportSchema>[]): Promise<WebhookImportResult[]> {
  return (await api.operator.webhooks.importWebhooks({ imports })).results;
}

/** Undefined where it was not refused. */
function refusalOf(result: WebhookImportResult | undefined) {
  if (result?.outcome !== WebhookImportOutcome.REFUSED) return undefined;
  const details = result.error?.details ?? [];
  const [info] = details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).filter((each) => each !== undefined);
  const [bad] = details.map((detail) => anyUnpack(detail, BadRequestSchema)).filter((each) => each !== undefined);
  return { reason: info?.reason, fields: (bad?.fieldViolations ?? []).map(({ field }) => field) };
}

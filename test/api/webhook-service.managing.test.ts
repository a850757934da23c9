import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, it } from "vitest";
import { VerificationMethod, WebhookFormat, WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { WebhookSecretEntity } from "../../src/store/entities/webhook-secret.ts";
import { errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const url = "https://example.com/hook";

it("a webhook keeps every field that it was created with, and what is left out has its default", async () => {
  const { clients, id } = await api.addOrganization();
  const { webhook } = await clients.webhooks.createWebhook({
    webhook: webhookFor(url, {
      name: "Billing",
      description: "Invoices",
      projectIds: ["p1", "p2"],
      eventTypes: ["invoice.*", "order.paid"],
      format: WebhookFormat.CLOUDEVENTS_BINARY,
      headers: { "x-acme": "1" },
      retryPolicy: {
        delays: [{ seconds: 1n, nanos: 500_000_000 }],
        maxAttempts: 3,
        timeout: { seconds: 7n },
      },
      verification: { method: VerificationMethod.CLOUDEVENTS },
    }),
  });
  expect(webhook).toMatchObject({
    organizationId: id,
    name: "Billing",
    description: "Invoices",
    projectIds: ["p1", "p2"],
    eventTypes: ["invoice.*", "order.paid"],
    format: WebhookFormat.CLOUDEVENTS_BINARY,
    headers: { "x-acme": "1" },
    status: WebhookStatus.UNVERIFIED,
    verification: { method: VerificationMethod.CLOUDEVENTS },
  });
  expect(webhook?.retryPolicy?.delays).toMatchObject([{ seconds: 1n, nanos: 500_000_000 }]);
  expect(webhook?.retryPolicy).toMatchObject({ maxAttempts: 3, timeout: { seconds: 7n, nanos: 0 } });
  expect((await clients.webhooks.getWebhook({ id: webhook!.id })).webhook).toEqual(webhook);

  const plain = (await clients.webhooks.createWebhook({ webhook: webhookFor(url) })).webhook;
  expect(plain).toMatchObject({
    name: "",
    format: WebhookFormat.STANDARD,
    verification: { method: VerificationMethod.CHALLENGE },
  });
  expect(plain?.retryPolicy).toBeUndefined();
});

it("a secret is shown by creation and rotation alone, and stored sealed", async () => {
  const { clients } = await api.addOrganization();
  const { webhook, signingSecret } = await clients.webhooks.createWebhook({ webhook: webhookFor(url) });
  expect(signingSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const given = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
  const rotated = await clients.webhooks.rotateWebhookSecret({ id: webhook!.id, signingSecret: given });
  expect(rotated.signingSecret).toBe(given);
  const withGiven = await clients.webhooks.createWebhook({ webhook: webhookFor(url, { signingSecret: given }) });
  expect(withGiven.signingSecret).toBe(given);

  const answers = [
    webhook,
    withGiven.webhook,
    (await clients.webhooks.getWebhook({ id: webhook!.id })).webhook,
    (await clients.webhooks.updateWebhook({ webhook: { id: webhook!.id, description: "x" } })).webhook,
    ...(await clients.webhooks.listWebhooks({})).webhooks,
  ];
  expect(answers.map((answer) => answer?.signingSecret)).toEqual(answers.map(() => ""));

  const webhookId = parseId("webhook", webhook!.id)!;
  const rows = await api.database.em().find(WebhookSecretEntity, { webhookId });
  expect(rows).toHaveLength(2);
  const opened = rows.map(({ sealed }) => api.secretBox.open(sealed, webhookId));
  expect(opened.sort()).toEqual([signingSecret, given].sort());
  for (const { sealed } of rows) expect(Buffer.from(sealed).toString("latin1")).not.toContain("whsec_");
});

it("a bad webhook is answered with each bad field, in the contract's names", async () => {
  const { clients } = await api.addOrganization();
  const rules = await errorOf(
    clients.webhooks.createWebhook({
      webhook: webhookFor("", { eventTypes: ["*", "a..b"], name: "n".repeat(129), retryPolicy: { maxAttempts: 52 } }),
    }),
  );
  expect(rules.reason).toBe("INVALID_FIELDS");
  expect(rules.code).toBe(Code.InvalidArgument);
  expect(Object.keys(rules.fields).sort()).toEqual([
    "webhook.event_types[1]",
    "webhook.name",
    "webhook.retry_policy.max_attempts",
    "webhook.url",
  ]);
  expect(rules.message).toContain("webhook.url");

  const checks = await errorOf(
    clients.webhooks.createWebhook({
      webhook: webhookFor("https://10.0.0.1/x#y", {
        headers: { host: "a", "x-ok": "b" },
        signingSecret: "whsec_x",
        verification: { method: VerificationMethod.NONE },
      }),
    }),
  );
  expect(checks.reason).toBe("INVALID_FIELDS");
  expect(Object.keys(checks.fields).sort()).toEqual([
    'webhook.headers["host"]',
    "webhook.signing_secret",
    "webhook.url",
    "webhook.verification.method",
  ]);

  const missing = await errorOf(clients.webhooks.createWebhook({}));
  expect(missing.fields).toHaveProperty("webhook");
});

it("a text with a NUL character is a bad field, not a broken server", async () => {
  const { clients } = await api.addOrganization();
  const error = await errorOf(
    clients.webhooks.createWebhook({
      webhook: webhookFor(url, { description: "a\u0000b", projectIds: ["a", "\u0000"] }),
    }),
  );
  expect(error.reason).toBe("INVALID_FIELDS");
  expect(Object.keys(error.fields)).toEqual(["webhook.project_ids[1]", "webhook.description"]);
});

it("of many webhooks created at once with one name, one is made and the others are told the name is taken", async () => {
  const { clients } = await api.addOrganization();
  const results = await Promise.allSettled(
    Array.from({ length: 6 }, () => clients.webhooks.createWebhook({ webhook: webhookFor(url, { name: "one" }) })),
  );
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  for (const result of results) {
    if (result.status === "rejected") {
      const error = await errorOf(Promise.reject(result.reason));
      expect(error).toMatchObject({ reason: "WEBHOOK_NAME_TAKEN", code: Code.AlreadyExists });
      expect(error.fields["webhook.name"]).toContain("another name");
    }
  }
  const other = await clients.webhooks.createWebhook({ webhook: webhookFor(url) });
  const renamed = await errorOf(clients.webhooks.updateWebhook({ webhook: { id: other.webhook!.id, name: "one" } }));
  expect(renamed.reason).toBe("WEBHOOK_NAME_TAKEN");
  await (await api.addOrganization()).clients.webhooks.createWebhook({ webhook: webhookFor(url, { name: "one" }) });
});

it("an update changes the fields of the mask, and without a mask those that are set", async () => {
  const { clients } = await api.addOrganization();
  const { webhook } = await clients.webhooks.createWebhook({
    webhook: webhookFor(url, { name: "a", description: "b", headers: { "x-a": "1" }, retryPolicy: { maxAttempts: 2 } }),
  });
  const id = webhook!.id;
  const masked = await clients.webhooks.updateWebhook({
    webhook: { id, description: "ignored" },
    updateMask: { paths: ["name", "headers", "retry_policy"] },
  });
  expect(masked.webhook).toMatchObject({ name: "", description: "b", headers: {}, url });
  expect(masked.webhook?.retryPolicy).toBeUndefined();
  const unmasked = await clients.webhooks.updateWebhook({ webhook: { id, description: "c", eventTypes: ["x.*"] } });
  expect(unmasked.webhook).toMatchObject({ description: "c", eventTypes: ["x.*"], url });
  expect(unmasked.webhook?.etag).not.toBe(webhook?.etag);
});

it("an update is held to the rules of the fields that it changes, and of no others", async () => {
  const { clients } = await api.addOrganization();
  const { webhook } = await clients.webhooks.createWebhook({ webhook: webhookFor(url) });
  const id = webhook!.id;
  const update = (values: object, paths?: string[]) =>
    errorOf(clients.webhooks.updateWebhook({ webhook: { id, ...values }, ...(paths && { updateMask: { paths } }) }));

  expect(Object.keys((await update({ url: "ftp://x" })).fields)).toEqual(["webhook.url"]);
  expect(Object.keys((await update({}, ["url", "event_types"])).fields).sort()).toEqual([
    "webhook.event_types",
    "webhook.url",
  ]);
  expect(Object.keys((await update({ eventTypes: ["a b"] })).fields)).toEqual(["webhook.event_types[0]"]);
  expect(Object.keys((await update({ headers: { host: "x" } })).fields)).toEqual(['webhook.headers["host"]']);
  const path = await update({}, ["status", "name"]);
  expect(path.fields.update_mask).toContain("status: only these can be changed: project_ids, name");
  expect((await update({ signingSecret: "whsec_x" })).fields["webhook.signing_secret"]).toContain(
    "RotateWebhookSecret",
  );
  expect((await update({ id: "wh_x" })).fields).toHaveProperty("webhook.id");
  const allowed = await clients.webhooks.updateWebhook({
    webhook: { id, url: "", description: "d" },
    updateMask: { paths: ["description"] },
  });
  expect(allowed.webhook?.description).toBe("d");
});

it("a change or a deletion on the ground of an old state is refused", async () => {
  const { clients } = await api.addOrganization();
  const { webhook } = await clients.webhooks.createWebhook({ webhook: webhookFor(url) });
  const { id, etag } = webhook!;
  const updated = await clients.webhooks.updateWebhook({ webhook: { id, etag, description: "1" } });
  const late = await errorOf(clients.webhooks.updateWebhook({ webhook: { id, etag, description: "2" } }));
  expect(late).toMatchObject({ reason: "ETAG_MISMATCH", code: Code.Aborted });
  expect((await errorOf(clients.webhooks.deleteWebhook({ id, etag }))).reason).toBe("ETAG_MISMATCH");
  await clients.webhooks.deleteWebhook({ id, etag: updated.webhook!.etag });
  expect((await errorOf(clients.webhooks.getWebhook({ id }))).reason).toBe("WEBHOOK_NOT_FOUND");
});

it("of updates at once with one etag, one wins", async () => {
  const { clients } = await api.addOrganization();
  const { webhook } = await clients.webhooks.createWebhook({ webhook: webhookFor(url) });
  const { id, etag } = webhook!;
  const results = await Promise.allSettled(
    ["a", "b", "c", "d"].map((description) => clients.webhooks.updateWebhook({ webhook: { id, etag, description } })),
  );
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});

it("webhooks are listed newest first, page by page, by status and project", async () => {
  const { clients } = await api.addOrganization();
  const ids: string[] = [];
  for (const projectIds of [["a"], ["b"], ["a", "b"], [], ["a"]]) {
    const { webhook } = await clients.webhooks.createWebhook({ webhook: webhookFor(url, { projectIds }) });
    ids.unshift(webhook!.id);
    api.advance(2);
  }
  const first = await clients.webhooks.listWebhooks({ pageSize: 2 });
  const second = await clients.webhooks.listWebhooks({ pageSize: 2, pageToken: first.nextPageToken });
  const third = await clients.webhooks.listWebhooks({ pageSize: 2, pageToken: second.nextPageToken });
  const listed = [first, second, third].flatMap(({ webhooks }) => webhooks.map(({ id }) => id));
  expect(listed).toEqual(ids);
  expect(third.nextPageToken).toBe("");
  expect((await clients.webhooks.listWebhooks({ projectId: "a" })).webhooks).toHaveLength(3);
  expect((await clients.webhooks.listWebhooks({ statuses: [WebhookStatus.ACTIVE] })).webhooks).toHaveLength(0);
  expect((await clients.webhooks.listWebhooks({ statuses: [WebhookStatus.UNVERIFIED] })).webhooks).toHaveLength(5);

  const strange = await errorOf(clients.webhooks.listWebhooks({ pageToken: "x" }));
  expect(strange).toMatchObject({ reason: "INVALID_PAGE_TOKEN", code: Code.InvalidArgument });
  const filters = await errorOf(clients.webhooks.listWebhooks({ projectId: "a", pageToken: first.nextPageToken }));
  expect(filters.reason).toBe("INVALID_PAGE_TOKEN");
  expect(Object.keys((await errorOf(clients.webhooks.listWebhooks({ pageSize: 201 }))).fields)).toEqual(["page_size"]);
  expect(Object.keys((await errorOf(clients.webhooks.listWebhooks({ statuses: [0] }))).fields)).toEqual([
    "statuses[0]",
  ]);
});

it("only an operator may vouch for a receiver, and a customer cannot move what was vouched for", async () => {
  const { clients, id: organizationId } = await api.addOrganization();
  const verification = { method: VerificationMethod.VOUCHED };
  const refused = await errorOf(clients.webhooks.createWebhook({ webhook: webhookFor(url, { verification }) }));
  expect(refused).toMatchObject({ reason: "OPERATOR_REQUIRED", code: Code.PermissionDenied });

  const { webhook } = await api.operator.webhooks.createWebhook({
    webhook: webhookFor(url, { verification, organizationId }),
  });
  expect(webhook).toMatchObject({ status: WebhookStatus.ACTIVE, statusReason: "" });
  expect(webhook?.verification?.verifyTime).toBeDefined();
  const id = webhook!.id;
  const moved = { id, url: "https://example.org/other" };
  expect((await errorOf(clients.webhooks.updateWebhook({ webhook: moved }))).reason).toBe("OPERATOR_REQUIRED");
  expect((await errorOf(clients.webhooks.verifyWebhook({ id }))).reason).toBe("OPERATOR_REQUIRED");
  const same = await clients.webhooks.updateWebhook({ webhook: { id, description: "x", verification } });
  expect(same.webhook?.status).toBe(WebhookStatus.ACTIVE);
  const byOperator = await api.operator.webhooks.updateWebhook({ webhook: moved });
  expect(byOperator.webhook).toMatchObject({ status: WebhookStatus.ACTIVE, url: moved.url });
  const challenged = await clients.webhooks.updateWebhook({
    webhook: { ...moved, url, verification: { method: VerificationMethod.CHALLENGE } },
  });
  expect(challenged.webhook?.status).toBe(WebhookStatus.UNVERIFIED);
});

it("an operator has to say for which organization a webhook is, and that one has to exist", async () => {
  const required = await errorOf(api.operator.webhooks.createWebhook({ webhook: webhookFor(url) }));
  expect(required).toMatchObject({ reason: "ORGANIZATION_REQUIRED", code: Code.InvalidArgument });
  expect(required.fields).toHaveProperty(["webhook.organization_id"]);
  const organizationId = "org_00000000000000000000000000";
  const unknown = await errorOf(api.operator.webhooks.createWebhook({ webhook: webhookFor(url, { organizationId }) }));
  expect(unknown).toMatchObject({ reason: "ORGANIZATION_NOT_FOUND", code: Code.NotFound });
  expect((await errorOf(api.operator.webhooks.listWebhooks({ organizationId }))).reason).toBe("ORGANIZATION_NOT_FOUND");
});

import { randomUUID } from "node:crypto";
import { toJsonString } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Scope } from "../../gen/tellwire/v1/access_pb.ts";
import { AuditActorKind, type AuditEntry, AuditEntrySchema } from "../../gen/tellwire/v1/audit_entry_pb.ts";
import { RecoveryScope } from "../../gen/tellwire/v1/recovery_pb.ts";
import { VerificationMethod, WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { disableFailingWebhooks } from "../../src/store/sql/disable-failing-webhooks.ts";
import { type Clients, errorOf, startApi, type TestApi, webhookFor } from "../api/start-api.ts";
import { operator, organizationPrincipal } from "../support/principals.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";

let api: TestApi;
let receiver: Receiver;
let organization: { id: string; key: string; clients: Clients };

beforeAll(async () => {
  api = await startApi();
  receiver = await startReceiver(echoChallenge);
});
afterAll(async () => {
  await api?.close();
  await receiver?.close();
});
beforeEach(async () => {
  organization = await api.addOrganization();
});

/** An organization's entries since the test began, oldest first: those of its creation and of its key are left out. */
async function entries(): Promise<AuditEntry[]> {
  const { auditEntries } = await organization.clients.audit.listAuditEntries({ pageSize: 200 });
  return auditEntries.reverse().slice(2);
}

async function actions(): Promise<string[]> {
  return (await entries()).map(({ action }) => action);
}

async function activeWebhook(): Promise<string> {
  const webhook = webhookFor(receiver.url, {
    organizationId: organization.id,
    verification: { method: VerificationMethod.VOUCHED },
    eventTypes: ["order.paid"],
    headers: { "x-shop": "canary-of-a-header" },
  });
  return (await api.operator.webhooks.createWebhook({ webhook })).webhook!.id;
}

describe("what an entry tells", () => {
  it("a creation tells everything but secrets, an update what differs, a deletion everything again", async () => {
    const id = await activeWebhook();
    const { webhooks } = organization.clients;
    await webhooks.updateWebhook({
      webhook: { id, description: "new", headers: { "x-shop": "another-canary", "x-more": "1" } },
      updateMask: { paths: ["description", "headers"] },
    });
    await webhooks.deleteWebhook({ id });
    const [created, updated, deleted] = await entries();
    expect(created).toMatchObject({
      action: "webhook.create",
      resourceType: "webhook",
      resourceId: id,
      organizationId: organization.id,
      changedFields: [],
      after: { url: receiver.url, eventTypes: ["order.paid"], status: "ACTIVE", headers: { "x-shop": "***" } },
    });
    expect(created?.before).toBeUndefined();
    expect(updated).toMatchObject({ action: "webhook.update", resourceId: id });
    expect(updated?.changedFields).toEqual(["description", "headers.x-shop", "headers.x-more"]);
    expect(updated?.before).toEqual({ description: "", headers: { "x-shop": "***" } });
    expect(updated?.after).toEqual({ description: "new", headers: { "x-shop": "***", "x-more": "***" } });
    expect(deleted).toMatchObject({ action: "webhook.delete", before: { description: "new" } });
    expect(deleted?.after).toBeUndefined();
    expect(textOf(await entries())).not.toContain("canary");
  });

  it("of a URL the names of its query's parameters stay, and no value, which may be a token", async () => {
    const url = `${receiver.url}?shop=canary-1&token=canary-2`;
    const { webhooks } = organization.clients;
    const id = await activeWebhook();
    await api.operator.webhooks.updateWebhook({ webhook: { id, url } });
    await api.operator.webhooks.updateWebhook({ webhook: { id, url: url.replace("canary-2", "canary-3") } });
    await api.operator.webhooks.updateWebhook({ webhook: { id, url: `${receiver.url}?canary-4` } });
    await webhooks.deleteWebhook({ id });
    const [, first, second, third, deleted] = await entries();
    const shown = `${receiver.url}?shop=***&token=***`;
    expect(first).toMatchObject({ before: { url: receiver.url }, after: { url: shown } });
    expect(second).toMatchObject({
      changedFields: ["url", "verification"],
      before: { url: shown },
      after: { url: shown },
    });
    expect(third).toMatchObject({ changedFields: ["url", "verification"], after: { url: `${receiver.url}?***` } });
    expect(deleted).toMatchObject({ before: { url: `${receiver.url}?***` } });
    expect(textOf(await entries())).not.toContain("canary-");
  });

  it("who made the change is the key by its id, or the operator, and from where it came is known", async () => {
    const id = await activeWebhook();
    await organization.clients.webhooks.pauseWebhook({ id });
    const { apiKeys } = await organization.clients.organizations.listApiKeys({ organizationId: organization.id });
    const [created, paused] = await entries();
    expect(created?.actor?.kind).toBe(AuditActorKind.OPERATOR_KEY);
    expect(created?.actor?.id).not.toBe("");
    expect(paused?.actor).toMatchObject({ kind: AuditActorKind.API_KEY, id: apiKeys[0]?.id });
    expect(textOf([paused!])).not.toContain(organization.key);
  });

  it("a time, an id and a request are enough to find an entry again", async () => {
    const id = await activeWebhook();
    const [created] = await entries();
    const { auditEntry } = await organization.clients.audit.getAuditEntry({ id: created!.id });
    expect(auditEntry).toEqual(created);
    const at = Number(created!.createTime!.seconds) * 1_000;
    const createdAfter = timestampFromDate(new Date(at));
    const createdBefore = timestampFromDate(new Date(at + 2_000));
    const found = await organization.clients.audit.listAuditEntries({ createdAfter, createdBefore, resourceId: id });
    expect(found.auditEntries).toEqual([created]);
    const earlier = await organization.clients.audit.listAuditEntries({ createdBefore: createdAfter, resourceId: id });
    expect(earlier.auditEntries).toEqual([]);
  });

  it("half of a surrogate pair in a text keeps neither the change nor its entry from being written", async () => {
    const id = await activeWebhook();
    const target = { id: parseId("webhook", id)!, organizationId: undefined };
    await api.useCases.webhooks.update(operator, { ...target, etag: "", patch: { description: "\ud800!" } });
    expect((await entries()).at(-1)?.after).toEqual({ description: "\ufffd!" });
  });
});

describe("one change, one entry", () => {
  it("a change that fails leaves none", async () => {
    const id = await activeWebhook();
    const { webhooks, deliveries } = organization.clients;
    await webhooks.updateWebhook({ webhook: { id, name: "taken" } });
    const other = await activeWebhook();
    const before = await actions();
    expect((await errorOf(webhooks.updateWebhook({ webhook: { id: other, name: "taken" } }))).reason).toBe(
      "WEBHOOK_NAME_TAKEN",
    );
    expect((await errorOf(webhooks.updateWebhook({ webhook: { id, etag: "old", description: "x" } }))).reason).toBe(
      "ETAG_MISMATCH",
    );
    expect(
      (await errorOf(webhooks.createWebhook({ webhook: webhookFor(receiver.url, { name: "taken" }) }))).reason,
    ).toBe("WEBHOOK_NAME_TAKEN");
    const sinceTime = timestampFromDate(new Date(Date.now() + 60_000));
    const late = deliveries.recoverDeliveries({ webhookId: id, scope: RecoveryScope.FAILED, sinceTime });
    expect((await errorOf(late)).reason).toBe("INVALID_FIELDS");
    expect(await actions()).toEqual(before);
  });

  it("an idempotent replay leaves no second one", async () => {
    const headers = { "idempotency-key": randomUUID() };
    const request = { webhook: webhookFor("http://127.0.0.1:19999/") };
    const first = await organization.clients.webhooks.createWebhook(request, { headers });
    const second = await organization.clients.webhooks.createWebhook(request, { headers });
    expect(second.webhook?.id).toBe(first.webhook?.id);
    expect(await actions()).toEqual(["webhook.create"]);
  });

  it("a call that changes nothing leaves none", async () => {
    const id = await activeWebhook();
    const { webhooks, organizations } = organization.clients;
    await webhooks.resumeWebhook({ id });
    await webhooks.updateWebhook({ webhook: { id, eventTypes: ["order.paid"] } });
    const { organization: present } = await api.operator.organizations.getOrganization({ id: organization.id });
    await api.operator.organizations.updateOrganization({ organization: { id: organization.id, name: present!.name } });
    await webhooks.pauseWebhook({ id });
    await webhooks.pauseWebhook({ id });
    const { apiKey } = await organizations.createApiKey({ organizationId: organization.id, apiKey: { name: "spare" } });
    const revocation = { organizationId: organization.id, id: apiKey!.id };
    await organizations.revokeApiKey(revocation);
    await organizations.revokeApiKey(revocation);
    expect(await actions()).toEqual(["webhook.create", "webhook.pause", "api_key.create", "api_key.revoke"]);
  });

  it("an import leaves one for each webhook that it writes, and none for a look ahead or what is here already", async () => {
    const imported = {
      webhook: {
        id: randomUUID(),
        organizationId: organization.id,
        url: receiver.url,
        eventTypes: ["*"],
        status: WebhookStatus.PAUSED,
        signingSecret: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
      },
    };
    const { webhooks } = api.operator;
    await webhooks.importWebhooks({ imports: [imported], validateOnly: true });
    expect(await actions()).toEqual([]);
    await webhooks.importWebhooks({ imports: [imported] });
    await webhooks.importWebhooks({ imports: [imported] });
    expect(await actions()).toEqual(["webhook.import"]);
    const rotated = { ...imported.webhook, signingSecret: `whsec_${Buffer.alloc(32, 8).toString("base64")}` };
    await webhooks.importWebhooks({ imports: [{ webhook: rotated }] });
    const [first, second] = await entries();
    expect(first).toMatchObject({ after: { status: "PAUSED" } });
    expect(first?.before).toBeUndefined();
    expect(second).toMatchObject({ changedFields: ["replacesSecrets"], after: { replacesSecrets: true } });
    expect(textOf([first!, second!])).not.toContain("whsec_");
  });
});

describe("what Tellwire changes by itself", () => {
  it("the outcome of a verification that starts by itself has an entry of its own", async () => {
    api.useCases.verificationWorker.start();
    const { webhook } = await organization.clients.webhooks.createWebhook({ webhook: webhookFor(receiver.url) });
    await waitFor(async () => (await actions()).length === 2, { what: "the entry of the verification" });
    const [, verified] = await entries();
    expect(verified).toMatchObject({
      action: "webhook.verify",
      resourceId: webhook!.id,
      actor: { kind: AuditActorKind.SYSTEM, id: "verification-worker" },
      before: { status: "UNVERIFIED" },
      after: { status: "ACTIVE" },
    });
    expect(verified?.origin).toBeUndefined();
    await api.useCases.verificationWorker.stop({ graceMs: 1_000 });
  });

  it("a webhook that only fails is disabled once, and there is one entry that tells why", async () => {
    const id = parseId("webhook", await activeWebhook())!;
    const days = (count: number) => new Date(Date.now() - count * 24 * 60 * 60_000);
    await api.database.em().execute("update webhook set active_since = ? where id = ?", [days(30), id]);
    await api.database.em().execute(
      `update webhook_health set last_failure_at = ?, consecutive_failures = 20, last_error = 'HTTP 500', failing_since = ?
       where webhook_id = ?`,
      [days(1), days(20), id],
    );
    const disable = () =>
      disableFailingWebhooks(api.database.sql, { now: Date.now(), afterMs: 5 * 24 * 60 * 60_000, limit: 10 });
    expect(await disable()).toBe(1);
    expect(await disable()).toBe(0);
    expect((await entries()).slice(1)).toMatchObject([
      {
        action: "webhook.disable",
        actor: { kind: AuditActorKind.SYSTEM, id: "failing-webhook-worker" },
        changedFields: ["status", "statusReason"],
        before: { status: "ACTIVE", statusReason: "" },
        after: { status: "DISABLED", statusReason: expect.stringContaining("every attempt has failed") },
      },
    ]);
  });
});

describe("who sees what", () => {
  it("an organization sees its own entries alone, and an operator those of any, of all and of none", async () => {
    await activeWebhook();
    const own = await organization.clients.audit.listAuditEntries({});
    const stranger = (await api.addOrganization()).clients.audit;
    const theirs = await stranger.listAuditEntries({});
    expect(theirs.auditEntries.map(({ organizationId }) => organizationId)).not.toContain(organization.id);
    const foreign = await errorOf(stranger.getAuditEntry({ id: own.auditEntries[0]!.id }));
    expect(foreign).toMatchObject({ reason: "AUDIT_ENTRY_NOT_FOUND" });
    expect((await errorOf(stranger.listAuditEntries({ organizationId: organization.id }))).reason).toBe(
      "ORGANIZATION_NOT_FOUND",
    );
    const asked = await api.operator.audit.listAuditEntries({ organizationId: organization.id });
    expect(asked.auditEntries).toEqual(own.auditEntries);
    const all = await api.operator.audit.listAuditEntries({ pageSize: 200 });
    expect(new Set(all.auditEntries.map(({ organizationId }) => organizationId)).size).toBeGreaterThan(1);
  });

  it("a caller that is kept to a project sees none of it, and one without the scope neither", async () => {
    const ofProject = organizationPrincipal(parseId("organization", organization.id)!, { projectId: "p1" });
    const anything = { organizationId: undefined, actorId: undefined, action: undefined, resourceId: undefined };
    const filters = { ...anything, createdAfter: undefined, createdBefore: undefined };
    const listed = api.useCases.audit.list(ofProject, filters, { pageSize: 1, pageToken: "" });
    await expect(listed).rejects.toMatchObject({ reason: "WHOLE_ORGANIZATION_REQUIRED" });
    const { auditEntries } = await organization.clients.audit.listAuditEntries({});
    const target = { id: parseId("auditEntry", auditEntries[0]!.id)!, organizationId: undefined };
    const read = api.useCases.audit.get(ofProject, target);
    await expect(read).rejects.toMatchObject({ reason: "WHOLE_ORGANIZATION_REQUIRED" });

    const { key } = await organization.clients.organizations.createApiKey({
      organizationId: organization.id,
      apiKey: { name: "without", scopes: [Scope.WEBHOOKS_WRITE] },
    });
    const without = api.clients({ "x-api-key": key }).audit;
    expect((await errorOf(without.listAuditEntries({}))).reason).toBe("SCOPE_MISSING");
  });

  it("pages go on where the one before ended, also while entries are added", async () => {
    await activeWebhook();
    const filters = { organizationId: organization.id, pageSize: 2 };
    const first = await api.operator.audit.listAuditEntries(filters);
    expect(first.auditEntries).toHaveLength(2);
    await activeWebhook();
    const second = await api.operator.audit.listAuditEntries({ ...filters, pageToken: first.nextPageToken });
    const read = [...first.auditEntries, ...second.auditEntries].map(({ action }) => action);
    expect(read).toEqual(["webhook.create", "api_key.create", "organization.create"]);
    expect(second.nextPageToken).toBe("");
    const other = api.operator.audit.listAuditEntries({ pageSize: 2, pageToken: first.nextPageToken });
    expect((await errorOf(other)).reason).toBe("INVALID_PAGE_TOKEN");
  });
});

function textOf(list: AuditEntry[]): string {
  return list.map((entry) => toJsonString(AuditEntrySchema, entry)).join("\n");
}

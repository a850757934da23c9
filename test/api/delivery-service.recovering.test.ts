import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RecoveryScope, RecoveryStatus } from "../../gen/tellwire/v1/recovery_pb.ts";
import { parseId, publicId } from "../../src/domain/ids.ts";
import { addWebhook } from "../support/engine.ts";
import { insertFinishedDeliveries, insertPastEvents } from "../support/event-history.ts";
import { waitFor } from "../support/wait-for.ts";
import { type Clients, errorOf, startApi, type TestApi } from "./start-api.ts";

let api: TestApi;
let organization: { id: string; clients: Clients };
let clients: Clients;
beforeAll(async () => {
  api = await startApi();
  organization = await api.addOrganization();
  clients = organization.clients;
});
afterAll(() => api.close());

const hourAgo = new Date(Date.now() - 60 * 60_000);
const sinceTime = timestampFromDate(hourAgo);

it("a recovery is started, watched until its end, and listed", async () => {
  const webhookId = await newWebhook();
  const events = await insertPastEvents(api.database, { ...owner(), count: 3, receivedAt: Date.now() - 60_000 });
  await insertFinishedDeliveries(api.database, events, {
    ...owner(),
    webhookId: parseId("webhook", webhookId)!,
    status: "EXHAUSTED",
    attemptCount: 10,
  });
  const { recovery } = await clients.deliveries.recoverDeliveries({
    webhookId,
    scope: RecoveryScope.FAILED,
    sinceTime,
  });
  expect(recovery).toMatchObject({
    id: expect.stringMatching(/^rcv_[0-9a-hjkmnp-tv-z]{26}$/),
    organizationId: organization.id,
    webhookId,
    scope: RecoveryScope.FAILED,
    status: RecoveryStatus.RUNNING,
    sinceTime,
    examinedCount: 0n,
    progressPercent: 0,
  });
  expect(recovery?.untilTime).toEqual(recovery?.createTime);
  api.useCases.recoveryWorker.start();
  const ended = await waitFor(async () => {
    const answer = await clients.deliveries.getRecovery({ id: recovery!.id });
    return answer.recovery?.status === RecoveryStatus.COMPLETED && answer.recovery;
  });
  await api.useCases.recoveryWorker.stop();
  expect(ended).toMatchObject({ examinedCount: 3n, resentCount: 3n, progressPercent: 100 });
  expect(ended.completeTime).toBeDefined();
  const listed = await clients.deliveries.listRecoveries({ webhookId, statuses: [RecoveryStatus.COMPLETED] });
  expect(listed.recoveries).toEqual([ended]);
  const running = await clients.deliveries.listRecoveries({ webhookId, statuses: [RecoveryStatus.RUNNING] });
  expect(running.recoveries).toEqual([]);
});

it("a webhook has one running recovery for each scope, and the refusal of a second names it", async () => {
  const webhookId = await newWebhook();
  const request = { webhookId, scope: RecoveryScope.FAILED, sinceTime };
  const answers = await Promise.allSettled([1, 2, 3].map(() => clients.deliveries.recoverDeliveries(request)));
  const started = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value.recovery!.id] : []));
  expect(started).toHaveLength(1);
  expect(await errorOf(clients.deliveries.recoverDeliveries(request))).toMatchObject({
    reason: "RECOVERY_RUNNING",
    code: Code.AlreadyExists,
    metadata: { recovery_id: started[0] },
    message: expect.stringContaining(started[0]!),
  });
  // The list is in the order of the ids, which has no finer time than a millisecond.
  api.advance(1);
  await clients.deliveries.recoverDeliveries({ ...request, scope: RecoveryScope.NEVER_SENT });
  await clients.deliveries.cancelRecovery({ id: started[0]! });
  await clients.deliveries.recoverDeliveries(request);
  const pages = [];
  let pageToken = "";
  do {
    const page = await clients.deliveries.listRecoveries({ webhookId, pageSize: 2, pageToken });
    pages.push(page.recoveries.map(({ status }) => status));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(pages).toEqual([[RecoveryStatus.RUNNING, RecoveryStatus.RUNNING], [RecoveryStatus.CANCELLED]]);
});

it("cancelling again changes nothing, and what has ended otherwise cannot be cancelled", async () => {
  const webhookId = await newWebhook();
  const { recovery } = await clients.deliveries.recoverDeliveries({
    webhookId,
    scope: RecoveryScope.FAILED,
    sinceTime,
  });
  const { id } = recovery!;
  const once = await clients.deliveries.cancelRecovery({ id });
  expect(once.recovery).toMatchObject({
    status: RecoveryStatus.CANCELLED,
    statusReason: "it was cancelled by request",
  });
  expect(await clients.deliveries.cancelRecovery({ id })).toEqual(once);
  const text = "update recovery set status = 'COMPLETED' where id = $1";
  await api.database.sql.query({ name: "", text }, [parseId("recovery", id)]);
  expect(await errorOf(clients.deliveries.cancelRecovery({ id }))).toMatchObject({
    reason: "RECOVERY_NOT_RUNNING",
    code: Code.FailedPrecondition,
  });
});

it("recoveries are for active webhooks, and for a time that has passed", async () => {
  const webhookId = await newWebhook();
  const request = { webhookId, scope: RecoveryScope.FAILED, sinceTime };
  const future = timestampFromDate(new Date(Date.now() + 60_000));
  const error = await errorOf(clients.deliveries.recoverDeliveries({ ...request, sinceTime: future }));
  expect(error.fields.since_time).toMatch("must be before until_time");
  const reversed = await errorOf(
    clients.deliveries.recoverDeliveries({ ...request, untilTime: timestampFromDate(new Date(hourAgo.getTime() - 1)) }),
  );
  expect(reversed.fields).toHaveProperty("since_time");
  const { recovery } = await clients.deliveries.recoverDeliveries({ ...request, untilTime: future });
  expect(recovery?.untilTime).toEqual(recovery?.createTime);
  await clients.webhooks.pauseWebhook({ id: webhookId });
  expect(await errorOf(clients.deliveries.recoverDeliveries(request))).toMatchObject({
    reason: "WEBHOOK_NOT_ACTIVE",
    metadata: { status: "PAUSED" },
  });
});

it("fields that are missing are named", async () => {
  const error = await errorOf(clients.deliveries.recoverDeliveries({ webhookId: await newWebhook() }));
  expect(Object.keys(error.fields)).toEqual(["scope", "since_time"]);
});

it("nobody sees or ends the recovery of another organization", async () => {
  const webhookId = await newWebhook();
  const { recovery } = await clients.deliveries.recoverDeliveries({
    webhookId,
    scope: RecoveryScope.FAILED,
    sinceTime,
  });
  const { id } = recovery!;
  const other = (await api.addOrganization()).clients;
  const refusals = [
    other.deliveries.getRecovery({ id }),
    other.deliveries.cancelRecovery({ id }),
    other.deliveries.recoverDeliveries({ webhookId, scope: RecoveryScope.NEVER_SENT, sinceTime }),
  ];
  const reasons = (await Promise.all(refusals.map(errorOf))).map(({ reason }) => reason);
  expect(reasons).toEqual(["RECOVERY_NOT_FOUND", "RECOVERY_NOT_FOUND", "WEBHOOK_NOT_FOUND"]);
  expect((await other.deliveries.listRecoveries({})).recoveries).toEqual([]);
  expect((await api.operator.deliveries.getRecovery({ id })).recovery?.id).toBe(id);
});

function owner() {
  return { organizationId: parseId("organization", organization.id)! };
}

async function newWebhook(): Promise<string> {
  const { webhook } = await addWebhook(api.database, owner().organizationId, { url: "http://127.0.0.1:9/" });
  return publicId("webhook", webhook.id);
}

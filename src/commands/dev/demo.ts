import { randomBytes } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { DeliveryStatus } from "../../../gen/tellwire/v1/delivery_pb.ts";
import { type Webhook, WebhookStatus } from "../../../gen/tellwire/v1/webhook_pb.ts";
import { TellwireError } from "../../errors.ts";
import type { Log } from "../../telemetry/log.ts";
import { connectDemoApi, type DemoApi } from "./demo-api.ts";
import { type DemoFile, readDemoFile, writeDemoFile } from "./demo-file.ts";
import type { DemoReceiver } from "./demo-receiver.ts";
import { poll } from "./poll.ts";

/** What the demo made or found. */
export interface DemoResult {
  organizationId: string;
  apiKey: string;
  signingSecret: string;
  webhookId: string;
  /** What earlier starts left; undefined on the first start. */
  found: { webhooks: string; events: string } | undefined;
  /** The event that was published and delivered, or why none was. */
  delivery: { eventId: string; deliveryId: string } | { skipped: string };
}

export interface DemoOptions {
  /** The API's address. */
  baseUrl: string;
  dataDir: string;
  operatorKey: string;
  receiver: DemoReceiver;
  log: Log;
}

/**
 * Goes the whole way of a customer through the public API: an organization and its key, a webhook that verifies its receiver, an event,
 * and its delivery. What a start before this one made is found again. Throws where a step does not come about in time.
 */
export async function runDemo({ baseUrl, dataDir, operatorKey, receiver, log }: DemoOptions): Promise<DemoResult> {
  const existing = await findDemo(baseUrl, dataDir);
  const demo = existing ?? (await createDemo(connectDemoApi(baseUrl, operatorKey), dataDir));
  const api = connectDemoApi(baseUrl, demo.apiKey);
  const found = existing && (await countData(api));
  if (found) log.info(`found: ${found.events} and ${found.webhooks} of an earlier start`);
  receiver.trust(demo.signingSecret);
  const webhook = await verifiedWebhook(api, demo, receiver.url);
  const delivery =
    webhook.status === WebhookStatus.ACTIVE
      ? await publishAndWait(api, webhook, receiver)
      : { skipped: `the demo webhook is not active (${webhook.statusReason || "resume it first"})` };
  const { organizationId, apiKey, signingSecret } = demo;
  return { organizationId, apiKey, signingSecret, webhookId: webhook.id, found, delivery };
}

const demoName = "Demo";
const webhookName = "Demo receiver";
const eventType = "demo.greeting";
const verificationMs = 10_000;
const deliveryMs = 30_000;
const largestPage = 200;

/** What the file remembers, where this database knows it: the file may be older than the data, or belong to another database. */
async function findDemo(baseUrl: string, dataDir: string): Promise<DemoFile | undefined> {
  const demo = await readDemoFile(dataDir);
  if (demo === undefined) return undefined;
  try {
    await connectDemoApi(baseUrl, demo.apiKey).organizations.getOrganization({ id: demo.organizationId });
    return demo;
  } catch (error) {
    const { code } = ConnectError.from(error);
    if (code === Code.Unauthenticated || code === Code.NotFound || code === Code.PermissionDenied) return undefined;
    throw error;
  }
}

async function createDemo(operator: DemoApi, dataDir: string): Promise<DemoFile> {
  const { organization } = await operator.organizations.createOrganization({ organization: { name: demoName } });
  const organizationId = organization?.id ?? "";
  const { key } = await operator.organizations.createApiKey({ organizationId, apiKey: { name: demoName } });
  const signingSecret = `whsec_${randomBytes(32).toString("base64")}`;
  const demo = { organizationId, apiKey: key, signingSecret };
  await writeDemoFile(dataDir, demo);
  return demo;
}

async function countData(api: DemoApi): Promise<{ webhooks: string; events: string }> {
  const { webhooks, nextPageToken: moreWebhooks } = await api.webhooks.listWebhooks({ pageSize: largestPage });
  const { events, nextPageToken: moreEvents } = await api.events.listEvents({ pageSize: largestPage });
  return {
    webhooks: counted(webhooks.length, moreWebhooks !== "", "webhook"),
    events: counted(events.length, moreEvents !== "", "event"),
  };
}

function counted(count: number, andMore: boolean, noun: string): string {
  if (andMore) return `more than ${count} ${noun}s`;
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** The demo webhook is known by its name, which is unique in its organization. Its receiver may have another port than the last time. */
async function verifiedWebhook(api: DemoApi, { signingSecret }: DemoFile, url: string): Promise<Webhook> {
  const existing = await findWebhook(api);
  if (existing?.url === url) {
    return existing.status === WebhookStatus.UNVERIFIED ? await verifyNow(api, existing.id) : existing;
  }
  const { webhook } = existing
    ? await api.webhooks.updateWebhook({ webhook: { id: existing.id, url }, updateMask: { paths: ["url"] } })
    : await api.webhooks.createWebhook({ webhook: { name: webhookName, url, eventTypes: ["*"], signingSecret } });
  return await untilVerified(api, present(webhook));
}

async function findWebhook(api: DemoApi): Promise<Webhook | undefined> {
  let pageToken = "";
  do {
    const page = await api.webhooks.listWebhooks({ pageSize: largestPage, pageToken });
    const webhook = page.webhooks.find(({ name }) => name === webhookName);
    if (webhook) return webhook;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return undefined;
}

/** The webhook after the verification that begins by itself with a new URL. */
async function untilVerified(api: DemoApi, { id }: Webhook): Promise<Webhook> {
  const verified = await poll(async () => {
    const webhook = present((await api.webhooks.getWebhook({ id })).webhook);
    return webhook.status === WebhookStatus.UNVERIFIED ? undefined : webhook;
  }, verificationMs);
  return verified ?? (await verifyNow(api, id));
}

async function verifyNow(api: DemoApi, id: string): Promise<Webhook> {
  const { verified, failure, webhook } = await api.webhooks.verifyWebhook({ id });
  if (verified) return present(webhook);
  throw new TellwireError("WEBHOOK_UNVERIFIED", `the demo webhook could not be verified: ${failure}`);
}

async function publishAndWait(api: DemoApi, webhook: Webhook, receiver: DemoReceiver): Promise<DemoResult["delivery"]> {
  const { eventId } = await api.events.publishEvent({
    event: { type: eventType, dataJson: Buffer.from(JSON.stringify({ message: "Hello from Tellwire" })) },
  });
  const delivery = await poll(async () => {
    const { deliveries } = await api.deliveries.listDeliveries({ eventId, webhookId: webhook.id });
    return deliveries.find(({ status }) => status === DeliveryStatus.DELIVERED);
  }, deliveryMs);
  if (delivery === undefined) {
    const message = `the demo event ${eventId} was not delivered within ${deliveryMs / 1000} s: the lines above say why`;
    throw new TellwireError("INTERNAL", message);
  }
  await receiver.received(eventId);
  return { eventId, deliveryId: delivery.id };
}

function present(webhook: Webhook | undefined): Webhook {
  if (webhook === undefined) throw new TellwireError("INTERNAL", "the API answered without the webhook");
  return webhook;
}

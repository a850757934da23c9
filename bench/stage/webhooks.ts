import type { RestClient } from "../../test/support/rest-client.ts";
import { signingSecretOf } from "./signing-secret.ts";

/** What to publish to, and where it arrives. */
export interface Traffic {
  /** The receiver counts under this name. */
  group: string;
  /** Subjects of NATS, which take turns. */
  subjects: string[];
  /** How many webhooks want each event. */
  fanOut: number;
}

/** How many webhooks to make, and where they lead. */
export interface WebhookPlan {
  group: string;
  /** Of the receiver. */
  origin: string;
  organizations: number;
  /** Webhooks of each organization. */
  webhooks: number;
  /** `one`: every event is wanted by one of them; `all`: by all of its organization. */
  wantedBy: "one" | "all";
  /** As in the API. Left out: the schedule that Tellwire has by default. */
  retryPolicy?: { delays: readonly string[]; timeout: string };
}

/** The traffic of webhooks that the API made, with their ids. */
export interface CreatedTraffic extends Traffic {
  webhookIds: string[];
}

/** Makes organizations and webhooks by the API, with an operator's word in place of the verification. */
export async function createWebhooks(rest: RestClient, plan: WebhookPlan): Promise<CreatedTraffic> {
  const { group, organizations, webhooks, wantedBy } = plan;
  const subjects: string[] = [];
  const webhookIds: string[] = [];
  for (let number = 0; number < organizations; number++) {
    const { id } = await rest<{ id: string }>("POST", "/v1/organizations", { name: `${group} ${number}` });
    const organization = { organizationId: id, number };
    for (let start = 0; start < webhooks; start += atOnce) {
      const some = Array.from({ length: Math.min(atOnce, webhooks - start) }, (_, index) => start + index);
      const ids = await Promise.all(some.map((webhook) => createWebhook(rest, plan, { ...organization, webhook })));
      webhookIds.push(...ids);
    }
    const types = wantedBy === "all" ? 1 : webhooks;
    for (let type = 0; type < types; type++) subjects.push(`tellwire.events.${id}.${eventTypeOf(type)}`);
  }
  return { group, subjects, fanOut: wantedBy === "all" ? webhooks : 1, webhookIds };
}

/** Deletes webhooks by the API, one after the other: what waits for them is cancelled, in part after the answer. */
export async function deleteWebhooks(rest: RestClient, webhookIds: readonly string[]): Promise<void> {
  for (const id of webhookIds) await rest("DELETE", `/v1/webhooks/${id}`);
}

/** Pauses webhooks by the API, one after the other. */
export async function pauseWebhooks(rest: RestClient, webhookIds: readonly string[]): Promise<void> {
  for (const id of webhookIds) await rest("POST", `/v1/webhooks/${id}:pause`, {});
}

/** Resumes webhooks by the API, one after the other: what has waited for them starts. */
export async function resumeWebhooks(rest: RestClient, webhookIds: readonly string[]): Promise<void> {
  for (const id of webhookIds) await rest("POST", `/v1/webhooks/${id}:resume`, {});
}

/** The type that the webhook of this number wants where an event is wanted by one. */
export function eventTypeOf(webhook: number): string {
  return `order.paid_${webhook}`;
}

/** Calls under way at the same time. */
const atOnce = 16;

async function createWebhook(
  rest: RestClient,
  { group, origin, wantedBy, retryPolicy }: WebhookPlan,
  { organizationId, number, webhook }: { organizationId: string; number: number; webhook: number },
): Promise<string> {
  const path = `/${group}/${number}-${webhook}`;
  const { webhook: created } = await rest<{ webhook: { id: string } }>("POST", "/v1/webhooks", {
    organizationId,
    url: origin + path,
    eventTypes: [eventTypeOf(wantedBy === "all" ? 0 : webhook)],
    signingSecret: signingSecretOf(path),
    verification: { method: "VERIFICATION_METHOD_VOUCHED" },
    ...(retryPolicy === undefined ? {} : { retryPolicy }),
  });
  return created.id;
}

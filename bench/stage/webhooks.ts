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
}

/** Makes organizations and webhooks by the API, with an operator's word in place of the verification. */
export async function createWebhooks(rest: RestClient, plan: WebhookPlan): Promise<Traffic> {
  const { group, organizations, webhooks, wantedBy } = plan;
  const subjects: string[] = [];
  for (let number = 0; number < organizations; number++) {
    const { id } = await rest<{ id: string }>("POST", "/v1/organizations", { name: `${group} ${number}` });
    const organization = { organizationId: id, number };
    for (let start = 0; start < webhooks; start += atOnce) {
      const some = Array.from({ length: Math.min(atOnce, webhooks - start) }, (_, index) => start + index);
      await Promise.all(some.map((webhook) => createWebhook(rest, plan, { ...organization, webhook })));
    }
    const types = wantedBy === "all" ? 1 : webhooks;
    for (let type = 0; type < types; type++) subjects.push(`tellwire.events.${id}.${eventTypeOf(type)}`);
  }
  return { group, subjects, fanOut: wantedBy === "all" ? webhooks : 1 };
}

/** The type that the webhook of this number wants where an event is wanted by one. */
export function eventTypeOf(webhook: number): string {
  return `order.paid_${webhook}`;
}

/** Calls under way at the same time. */
const atOnce = 16;

async function createWebhook(
  rest: RestClient,
  { group, origin, wantedBy }: WebhookPlan,
  { organizationId, number, webhook }: { organizationId: string; number: number; webhook: number },
): Promise<void> {
  const path = `/${group}/${number}-${webhook}`;
  await rest("POST", "/v1/webhooks", {
    organizationId,
    url: origin + path,
    eventTypes: [eventTypeOf(wantedBy === "all" ? 0 : webhook)],
    signingSecret: signingSecretOf(path),
    verification: { method: "VERIFICATION_METHOD_VOUCHED" },
  });
}

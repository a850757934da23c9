import { setTimeout as delay } from "node:timers/promises";
import { addWaitingDeliveries, waitForNoLanes, wakeLanes } from "../stage/delivery-rows.ts";
import type { Session } from "../stage/session.ts";
import { createWebhooks, deleteWebhooks, type WebhookPlan } from "../stage/webhooks.ts";

/** What can go wrong with the receivers of one organization. */
export interface Trouble {
  name: string;
  /** Makes everything ready. Nothing goes wrong until it is begun. */
  prepare(session: Session, plan: TroublePlan): Promise<PreparedTrouble>;
}

/** How much goes wrong. */
export interface TroublePlan {
  /** Of the organization in trouble. */
  webhooks: Pick<WebhookPlan, "group" | "retryPolicy">;
  /** How long events are published, where the trouble is with these. */
  seconds: number;
  /** How many deliveries wait, where the trouble is that they do. */
  waitingDeliveries: number;
}

/** A trouble that can begin. */
export interface PreparedTrouble {
  webhookIds: string[];
  /** Resolves when nothing more is done for it: its deliveries may be under way for long after that. */
  begin(): Promise<unknown>;
}

/** Each of them, and nothing at all: beside nothing, whatever the ratio is, it is by chance. */
export const troubles: readonly Trouble[] = [
  { name: "a hanging receiver", prepare: (session, plan) => prepareEvents(session, "hang", plan) },
  { name: "a failing receiver", prepare: (session, plan) => prepareEvents(session, "fail", plan) },
  { name: "a backlog", prepare: prepareBacklog },
  { name: "nothing (control)", prepare: async () => ({ webhookIds: [], begin: async () => {} }) },
];

/**
 * Lets a trouble go on for some seconds with webhooks of its own, and ends it so that no delivery and no lane of it is left. A service that runs for
 * days has long run the code for retries, lanes and breakers; a new one would compile it in the moment that is measured.
 */
export async function warmUp(trouble: Trouble, session: Session, seconds: number): Promise<void> {
  // By the default schedule, a request would hang for longer than this takes, and no retry would fall into it.
  const retryPolicy = { delays: ["0.2s", "0.2s", "0.5s", "1s"], timeout: "0.5s" };
  const plan = { webhooks: { group: "warm-up", retryPolicy }, seconds, waitingDeliveries: 300 };
  const { webhookIds, begin } = await trouble.prepare(session, plan);
  await Promise.all([begin(), delay(seconds * 1000)]);
  await deleteWebhooks(session.tellwire.rest, webhookIds);
  await session.settle();
  await waitForNoLanes(session.databaseUrl);
}

/** Five webhooks of an organization, each with 20 events a second, lead to a receiver that behaves badly. */
async function prepareEvents(
  { stage, tellwire }: Session,
  behaviour: "hang" | "fail",
  { webhooks, seconds }: TroublePlan,
): Promise<PreparedTrouble> {
  const origin = stage.origins[behaviour];
  const plan = { ...webhooks, origin, organizations: 1, webhooks: 5, wantedBy: "one" } as const;
  const { subjects, webhookIds } = await createWebhooks(tellwire.rest, plan);
  return { webhookIds, begin: () => stage.publisher.call("steady", { subjects, perSecond: 100, seconds }) };
}

/** The receiver is well again, and takes 100 ms for each request: what waits is worked off beside the traffic. */
async function prepareBacklog(
  { stage, tellwire, databaseUrl }: Session,
  { webhooks, waitingDeliveries: count }: TroublePlan,
): Promise<PreparedTrouble> {
  const { group } = webhooks;
  const origin = stage.origins.slow;
  const plan = { ...webhooks, origin, organizations: 1, webhooks: 1, wantedBy: "one" } as const;
  const { webhookIds } = await createWebhooks(tellwire.rest, plan);
  await addWaitingDeliveries(databaseUrl, { group, count });
  return { webhookIds, begin: () => wakeLanes(databaseUrl, group) };
}

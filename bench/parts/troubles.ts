import { setTimeout as delay } from "node:timers/promises";
import { addWaitingDeliveries, waitForNoLanes } from "../stage/delivery-rows.ts";
import type { Session } from "../stage/session.ts";
import {
  createWebhooks,
  deleteWebhooks,
  pauseWebhooks,
  resumeWebhooks,
  type Traffic,
  type WebhookPlan,
} from "../stage/webhooks.ts";

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
  /** How many deliveries wait, where the trouble is that they do. */
  waitingDeliveries: number;
}

/** A trouble that can begin, end, and begin again. Until then its webhooks are paused. */
export interface PreparedTrouble {
  webhookIds: string[];
  /** How many events are published for the organization, in trouble or not. */
  eventsPerSecond: number;
  /** Publishes as many events for so long, for webhooks whose receiver is well: events cost the others something without any trouble too. */
  publishWell(seconds: number): Promise<void>;
  /**
   * Resumes the webhooks: what has waited for them starts now. Where the trouble is with events, they are published for so long. Resolves when
   * nothing more is done for it: its deliveries go on.
   */
  begin(seconds: number): Promise<void>;
  /** Pauses the webhooks: their deliveries wait. Requests under way go on until their receiver answers or their time is over. */
  end(): Promise<void>;
}

/** Each of them, and nothing at all: beside nothing, whatever the ratio is, it is by chance. */
export const troubles: readonly Trouble[] = [
  { name: "a hanging receiver", prepare: (session, plan) => prepareEvents(session, "hang", plan) },
  { name: "a failing receiver", prepare: (session, plan) => prepareEvents(session, "fail", plan) },
  { name: "a backlog", prepare: prepareBacklog },
  { name: "nothing (control)", prepare: prepareNothing },
];

const nothing = async (): Promise<void> => {};
const withoutEvents = { eventsPerSecond: 0, publishWell: nothing };

async function prepareNothing(): Promise<PreparedTrouble> {
  return { ...withoutEvents, webhookIds: [], begin: nothing, end: nothing };
}

/**
 * Lets a trouble go on for some seconds with webhooks of its own, and ends it so that no delivery and no lane of it is left. A service that runs for
 * days has long run the code for retries, lanes and breakers; a new one would compile it in the moment that is measured.
 */
export async function warmUp(trouble: Trouble, session: Session, seconds: number): Promise<void> {
  // By the default schedule, a request would hang for longer than this takes, and no retry would fall into it.
  const retryPolicy = { delays: ["0.2s", "0.2s", "0.5s", "1s"], timeout: "0.5s" };
  const plan = { webhooks: { group: "warm-up", retryPolicy }, waitingDeliveries: 300 };
  const { webhookIds, begin } = await trouble.prepare(session, plan);
  await Promise.all([begin(seconds), delay(seconds * 1000)]);
  await deleteWebhooks(session.tellwire.rest, webhookIds);
  await session.settle();
  await waitForNoLanes(session.databaseUrl);
}

/** Five webhooks of an organization, each with 20 events a second, lead to a receiver that behaves badly; five of another one to one that is well. */
async function prepareEvents(
  session: Session,
  behaviour: "hang" | "fail",
  { webhooks }: TroublePlan,
): Promise<PreparedTrouble> {
  const { publisher, origins } = session.stage;
  const { rest } = session.tellwire;
  const plan = { ...webhooks, organizations: 1, webhooks: 5, wantedBy: "one" } as const;
  const bad = await createWebhooks(rest, { ...plan, origin: origins[behaviour] });
  const well = await createWebhooks(rest, { ...plan, origin: origins.ok, group: `${plan.group}-well` });
  const perSecond = 100;
  const publishTo = async ({ subjects }: Traffic, seconds: number): Promise<void> => {
    await publisher.call("steady", { subjects, perSecond, seconds });
  };
  const trouble = await whilePaused(session, bad.webhookIds, (seconds) => publishTo(bad, seconds));
  return {
    ...trouble,
    webhookIds: [...bad.webhookIds, ...well.webhookIds],
    eventsPerSecond: perSecond,
    publishWell: (seconds) => publishTo(well, seconds),
  };
}

/** The receiver is well again, and takes 100 ms for each request: what waits is worked off beside the traffic. */
async function prepareBacklog(
  session: Session,
  { webhooks, waitingDeliveries: count }: TroublePlan,
): Promise<PreparedTrouble> {
  const { stage, tellwire, databaseUrl } = session;
  const { group } = webhooks;
  const origin = stage.origins.slow;
  const plan = { ...webhooks, origin, organizations: 1, webhooks: 1, wantedBy: "one" } as const;
  const { webhookIds } = await createWebhooks(tellwire.rest, plan);
  await addWaitingDeliveries(databaseUrl, { group, count });
  return { ...withoutEvents, webhookIds, ...(await whilePaused(session, webhookIds, nothing)) };
}

async function whilePaused(
  { tellwire: { rest } }: Session,
  webhookIds: string[],
  onBegin: (seconds: number) => Promise<void>,
): Promise<Pick<PreparedTrouble, "begin" | "end">> {
  const end = (): Promise<void> => pauseWebhooks(rest, webhookIds);
  await end();
  return {
    async begin(seconds) {
      await resumeWebhooks(rest, webhookIds);
      await onBegin(seconds);
    },
    end,
  };
}

import { setTimeout as delay } from "node:timers/promises";
import { addWaitingDeliveries, waitForNoLanes } from "../stage/delivery-rows.ts";
import type { Session } from "../stage/session.ts";
import {
  type CreatedTraffic,
  createWebhooks,
  deleteWebhooks,
  pauseWebhooks,
  resumeWebhooks,
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

/** What can begin, end, and begin again: a trouble, and the same without it. Until then the webhooks of both are paused. */
export interface PreparedTrouble {
  webhookIds: string[];
  /** How many events are published for the organization, in trouble or not. */
  eventsPerSecond: number;
  bad: Phase;
  /** As many events, for as many webhooks, whose receiver is well: events cost the others something without any trouble too, and so do the calls that resume. */
  well: Phase;
}

/** What goes on beside the traffic of the others in one kind of window. */
export interface Phase {
  /**
   * Resumes the webhooks: what has waited for them starts now. Where there are events, they are published for so long. Resolves when
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

async function prepareNothing(): Promise<PreparedTrouble> {
  const phase = { begin: nothing, end: nothing };
  return { webhookIds: [], eventsPerSecond: 0, bad: phase, well: phase };
}

/**
 * Lets a trouble go on for some seconds with webhooks of its own, and ends it so that no delivery and no lane of it is left. A service that runs for
 * days has long run the code for retries, lanes and breakers; a new one would compile it in the moment that is measured.
 */
export async function warmUp(trouble: Trouble, session: Session, seconds: number): Promise<void> {
  // By the default schedule, a request would hang for longer than this takes, and no retry would fall into it.
  const retryPolicy = { delays: ["0.2s", "0.2s", "0.5s", "1s"], timeout: "0.5s" };
  const plan = { webhooks: { group: "warm-up", retryPolicy }, waitingDeliveries: 300 };
  const { webhookIds, bad } = await trouble.prepare(session, plan);
  await Promise.all([bad.begin(seconds), delay(seconds * 1000)]);
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
  const phaseOf = ({ webhookIds, subjects }: CreatedTraffic): Promise<Phase> =>
    whilePaused(session, webhookIds, async (seconds) => {
      await publisher.call("steady", { subjects, perSecond, seconds });
    });
  return {
    webhookIds: [...bad.webhookIds, ...well.webhookIds],
    eventsPerSecond: perSecond,
    bad: await phaseOf(bad),
    well: await phaseOf(well),
  };
}

/** The receiver is well again, and takes 100 ms for each request: what waits is worked off beside the traffic. */
async function prepareBacklog(
  session: Session,
  { webhooks, waitingDeliveries: count }: TroublePlan,
): Promise<PreparedTrouble> {
  const { stage, tellwire, databaseUrl } = session;
  const { group } = webhooks;
  const plan = { ...webhooks, organizations: 1, webhooks: 1, wantedBy: "one" } as const;
  const bad = await createWebhooks(tellwire.rest, { ...plan, origin: stage.origins.slow });
  await addWaitingDeliveries(databaseUrl, { group, count });
  const well = await createWebhooks(tellwire.rest, { ...plan, origin: stage.origins.ok, group: `${group}-well` });
  return {
    webhookIds: [...bad.webhookIds, ...well.webhookIds],
    eventsPerSecond: 0,
    bad: await whilePaused(session, bad.webhookIds, nothing),
    well: await whilePaused(session, well.webhookIds, nothing),
  };
}

async function whilePaused(
  { tellwire: { rest } }: Session,
  webhookIds: string[],
  onBegin: (seconds: number) => Promise<void>,
): Promise<Phase> {
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

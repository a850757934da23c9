import { type BurstResult, measureBurst, requireComplete } from "../stage/measure-burst.ts";
import { withSession } from "../stage/session.ts";
import type { Stage } from "../stage/stage.ts";
import { createWebhooks, type Traffic, type WebhookPlan } from "../stage/webhooks.ts";
import type { Scale } from "./part.ts";

/** A database and webhooks that events can be published to. */
export interface Site {
  databaseUrl: string;
  traffic: Traffic;
}

/** 20 webhooks in 10 organizations, each event wanted by one of them. */
export const plainWebhooks: Omit<WebhookPlan, "origin"> = {
  group: "plain",
  organizations: 10,
  webhooks: 2,
  wantedBy: "one",
};

/** What the other measurements are compared with: those webhooks, and nothing else. */
export async function createPlainSite(stage: Stage): Promise<Site> {
  return await createSite(stage, plainWebhooks);
}

/** The same number of webhooks in 5 organizations, each event wanted by the four of its organization. */
export async function createFourfoldSite(stage: Stage): Promise<Site> {
  return await createSite(stage, { group: "fourfold", organizations: 5, webhooks: 4, wantedBy: "all" });
}

async function createSite(stage: Stage, plan: Omit<WebhookPlan, "origin">): Promise<Site> {
  const databaseUrl = await stage.databases.create();
  return await withSession(stage, { databaseUrl }, async ({ tellwire }) => ({
    databaseUrl,
    traffic: await createWebhooks(tellwire.rest, { ...plan, origin: stage.origins.ok }),
  }));
}

/** Starts Tellwire on the site, measures one burst, and stops it. */
export async function measureSite(
  stage: Stage,
  { databaseUrl, traffic }: Site,
  { events, warmUpEvents, variables = {} }: SiteOptions,
): Promise<BurstResult> {
  const result = await withSession(stage, { databaseUrl, variables }, (session) =>
    measureBurst(session, traffic, { events, warmUpEvents }),
  );
  requireComplete(result, traffic.group);
  return result;
}

interface SiteOptions extends Pick<Scale, "events" | "warmUpEvents"> {
  /** `TELLWIRE_…`, beside those that every Tellwire of the bench has. */
  variables?: Readonly<Record<string, string>>;
}

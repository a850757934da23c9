import { type BurstResult, measureBurst, requireComplete } from "../stage/measure-burst.ts";
import { withSession } from "../stage/session.ts";
import type { Stage } from "../stage/stage.ts";
import { createWebhooks, type Traffic } from "../stage/webhooks.ts";
import type { Scale } from "./part.ts";

/** A database and webhooks that events can be published to. */
export interface Site {
  databaseUrl: string;
  traffic: Traffic;
}

/** What the other measurements are compared with: 20 webhooks in 10 organizations, each event wanted by one of them, and nothing else. */
export async function createPlainSite(stage: Stage): Promise<Site> {
  const databaseUrl = await stage.databases.create();
  return await withSession(stage, { databaseUrl }, async ({ tellwire }) => {
    const plan = { group: "plain", origin: stage.origins.ok, organizations: 10, webhooks: 2, wantedBy: "one" } as const;
    return { databaseUrl, traffic: await createWebhooks(tellwire.rest, plan) };
  });
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

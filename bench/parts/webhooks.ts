import { median } from "../median.ts";
import { type BurstResult, deliverBurst, measureBurst, requireComplete } from "../stage/measure-burst.ts";
import { withSession } from "../stage/session.ts";
import type { Stage } from "../stage/stage.ts";
import { burstRow, cpuRow } from "../stage/tables.ts";
import { addWebhookRows, webhooksOfEach } from "../stage/webhook-rows.ts";
import { createWebhooks, type Traffic } from "../stage/webhooks.ts";
import type { Part, Scale } from "./part.ts";
import { createPlainSite, measureSite, plainWebhooks, type Site } from "./plain.ts";

/**
 * A hundred thousand webhooks: events for such as were never called before, for all of them in turn once each has been, and at last, in the same
 * process, for as many webhooks as there are in what it is compared with.
 */
export const webhooks: Part = {
  help: "throughput and memory with 100,000 webhooks of 10,000 organizations, against 20",
  async run({ stage, scale }) {
    const plain = await createPlainSite(stage);
    const { secretsKey, origins } = stage;
    const plan = { group: "many", origin: origins.ok, organizations: scale.organizations, secretsKey };
    const rounds: Round[] = [];
    for (let round = 0; round < scale.rounds; round++) {
      // For each round anew, because a webhook is called for the first time once.
      const databaseUrl = await stage.databases.create();
      const many = { databaseUrl, traffic: await addWebhookRows(databaseUrl, plan) };
      const measurePlain = () => measureSite(stage, plain, scale);
      // In changing order, so that what else the machine does falls on both.
      const before = round % 2 === 0 ? await measurePlain() : undefined;
      const measured = await measureMany(stage, many, scale);
      rounds.push({ plain: before ?? (await measurePlain()), ...measured });
    }
    return tell(scale.organizations * webhooksOfEach, rounds);
  },
};

interface Round {
  plain: BurstResult;
  /** Each event is the first of its webhook since the start. */
  first: BurstResult;
  /** Each webhook has been called before. */
  again: BurstResult;
  /** All of them are there, in the tables and in memory, and 20 others are called. */
  some: BurstResult;
}

async function measureMany(stage: Stage, { databaseUrl, traffic }: Site, scale: Scale): Promise<Omit<Round, "plain">> {
  const { events, warmUpEvents, organizations } = scale;
  const slice = (from: number, to?: number): Traffic => ({ ...traffic, subjects: traffic.subjects.slice(from, to) });
  return await withSession(stage, { databaseUrl }, async (session) => {
    // The first ones, which lie all over them, have nearly every organization read.
    await deliverBurst(session, slice(0, organizations), Math.max(organizations, warmUpEvents));
    const first = await measureBurst(session, slice(organizations, organizations + events), {
      events,
      warmUpEvents: 0,
    });
    const left = slice(organizations + events);
    await deliverBurst(session, left, left.subjects.length);
    const again = await measureBurst(session, traffic, { events, warmUpEvents: 0 });
    const plan = { ...plainWebhooks, group: "some", origin: stage.origins.ok };
    const fewTraffic = await createWebhooks(session.tellwire.rest, plan);
    const some = await measureBurst(session, fewTraffic, { events, warmUpEvents: 0 });
    for (const result of [first, again]) requireComplete(result, traffic.group);
    requireComplete(some, fewTraffic.group);
    return { first, again, some };
  });
}

function tell(count: number, rounds: readonly Round[]): object {
  const of = (kind: keyof Round): BurstResult[] => rounds.map((round) => round[kind]);
  const ratiosOf = (kind: Exclude<keyof Round, "plain">): number[] =>
    rounds.map((round) => round[kind].perSecond / round.plain.perSecond);
  const ratios = { some: ratiosOf("some"), again: ratiosOf("again"), first: ratiosOf("first") };
  const [some, again, first] = [ratios.some, ratios.again, ratios.first].map((values) => median(values).toFixed(2));
  console.log(
    `\n${count} webhooks registered: ${some} times the throughput of 20 alone where 20 are called, ${again} where each is in turn, and ${first} ` +
      "while each is called for the first time",
  );
  const rows = [
    ["20 webhooks", of("plain")],
    [`${count}, each for the first time`, of("first")],
    [`${count}, called before`, of("again")],
    [`${count}, of which 20 are called`, of("some")],
  ] as const;
  console.table(rows.map(([name, results]) => burstRow(name, results)));
  console.table(rows.map(([name, results]) => cpuRow(name, results)));
  return {
    webhooks: count,
    ratio: median(ratios.some),
    ratioInTurn: median(ratios.again),
    ratioFirst: median(ratios.first),
    ratios,
    rounds,
  };
}

import { median } from "../median.ts";
import { type BurstResult, deliverBurst, measureBurst, requireComplete } from "../stage/measure-burst.ts";
import { withSession } from "../stage/session.ts";
import type { Stage } from "../stage/stage.ts";
import { burstRow, cpuRow } from "../stage/tables.ts";
import { addWebhookRows, webhooksOfEach } from "../stage/webhook-rows.ts";
import type { Traffic } from "../stage/webhooks.ts";
import type { Part, Scale } from "./part.ts";
import { createPlainSite, measureSite, type Site } from "./plain.ts";

/** Events for webhooks all over a hundred thousand of them: for such as were never called before, and then once each has been. */
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
}

async function measureMany(stage: Stage, { databaseUrl, traffic }: Site, scale: Scale): Promise<Omit<Round, "plain">> {
  const { events, warmUpEvents, organizations } = scale;
  const some = (from: number, to?: number): Traffic => ({ ...traffic, subjects: traffic.subjects.slice(from, to) });
  return await withSession(stage, { databaseUrl }, async (session) => {
    // The first ones, which lie all over them, have nearly every organization read.
    await deliverBurst(session, some(0, organizations), Math.max(organizations, warmUpEvents));
    const first = await measureBurst(session, some(organizations, organizations + events), { events, warmUpEvents: 0 });
    const left = some(organizations + events);
    await deliverBurst(session, left, left.subjects.length);
    const again = await measureBurst(session, traffic, { events, warmUpEvents: 0 });
    for (const result of [first, again]) requireComplete(result, traffic.group);
    return { first, again };
  });
}

function tell(count: number, rounds: readonly Round[]): object {
  const of = (kind: keyof Round): BurstResult[] => rounds.map((round) => round[kind]);
  const ratiosOf = (kind: "first" | "again"): number[] =>
    rounds.map((round) => round[kind].perSecond / round.plain.perSecond);
  const ratios = { first: ratiosOf("first"), again: ratiosOf("again") };
  console.log(
    `\n${count} webhooks: ${median(ratios.again).toFixed(2)} times the throughput with 20, and ${median(ratios.first).toFixed(2)} ` +
      "while each is called for the first time",
  );
  const rows = [
    ["20 webhooks", of("plain")],
    [`${count}, each for the first time`, of("first")],
    [`${count}, called before`, of("again")],
  ] as const;
  console.table(rows.map(([name, results]) => burstRow(name, results)));
  console.table(rows.map(([name, results]) => cpuRow(name, results)));
  return { webhooks: count, ratio: median(ratios.again), ratioFirst: median(ratios.first), ratios, rounds };
}

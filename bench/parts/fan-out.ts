import { setTimeout as delay } from "node:timers/promises";
import { median } from "../median.ts";
import { requireComplete, waitForReceipts } from "../stage/measure-burst.ts";
import { halfOfMaximum, measureLatency } from "../stage/measure-latency.ts";
import { type Session, withSession } from "../stage/session.ts";
import { latencyRow } from "../stage/tables.ts";
import { createWebhooks, type Traffic } from "../stage/webhooks.ts";
import type { Part } from "./part.ts";
import { createPlainSite } from "./plain.ts";

/** One event for 1,000 webhooks, several times, beside other traffic at a tenth of the maximum. */
export const fanOut: Part = {
  help: "one event for 1,000 webhooks: time to the first and to the last receipt, and other traffic meanwhile",
  async run({ stage, scale }) {
    const seconds = scale.fanOutRounds * everySeconds;
    const { databaseUrl, traffic } = await createPlainSite(stage);
    const result = await withSession(stage, { databaseUrl }, async (session) => {
      const wide = await createWebhooks(session.tellwire.rest, {
        group: "wide",
        origin: stage.origins.ok,
        organizations: 1,
        webhooks: 1_000,
        wantedBy: "all",
      });
      const perSecond = Math.round((await halfOfMaximum(session, traffic, scale)) / 5);
      await fanOutOnce(session, wide);
      const alone = await measureLatency(session, traffic, { perSecond, seconds });
      const beside = measureLatency(session, traffic, { perSecond, seconds });
      const rounds: FanOutRound[] = [];
      for (let round = 0; round < scale.fanOutRounds; round++) {
        const [once] = await Promise.all([fanOutOnce(session, wide), delay(everySeconds * 1000)]);
        rounds.push(once);
      }
      return { alone, beside: await beside, rounds };
    });
    for (const round of result.rounds) requireComplete(round, "fan-out");
    requireComplete(result.beside, "traffic beside the fan-out");
    print(result.alone.perSecond, result.rounds);
    console.table([
      latencyRow("other traffic, alone", result.alone.latencyMs),
      latencyRow("other traffic, beside", result.beside.latencyMs),
    ]);
    return result;
  },
};

const everySeconds = 1;

interface FanOutRound {
  /** From the publish to the first and to the last receipt. */
  firstMs: number;
  lastMs: number;
  lost: number;
  duplicates: number;
  signaturesWrong: number;
}

async function fanOutOnce(session: Session, { group, subjects, fanOut: webhooks }: Traffic): Promise<FanOutRound> {
  const { publisher, receiver } = session.stage;
  await receiver.call("reset", { group });
  await publisher.call("burst", { subjects, count: 1 });
  await waitForReceipts(session.stage, group, webhooks);
  const { latencyMs, received, distinct, signaturesWrong } = await receiver.call("report", { group });
  const { min: firstMs, max: lastMs } = latencyMs;
  return { firstMs, lastMs, lost: webhooks - distinct, duplicates: received - distinct, signaturesWrong };
}

function print(perSecond: number, rounds: readonly FanOutRound[]): void {
  console.log(`\nFan-out of one event to 1,000 webhooks, ${rounds.length} times, beside ${perSecond} events a second`);
  const row = (name: string, values: number[]) => ({
    ms: name,
    median: median(values).toFixed(1),
    lowest: Math.min(...values).toFixed(1),
    highest: Math.max(...values).toFixed(1),
  });
  console.table([
    row(
      "to the first receipt",
      rounds.map(({ firstMs }) => firstMs),
    ),
    row(
      "to the last receipt",
      rounds.map(({ lastMs }) => lastMs),
    ),
  ]);
}

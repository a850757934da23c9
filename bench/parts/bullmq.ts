import { randomUUID } from "node:crypto";
import type { BullmqWebhook, ProducerCalls } from "../processes/bullmq-producer.ts";
import type { WorkerCalls } from "../processes/bullmq-worker.ts";
import { startHarnessProcess } from "../stage/calls.ts";
import { type Comparison, compare } from "../stage/compare.ts";
import { runSql } from "../stage/databases.ts";
import { type BurstResult, measurePipeline, requireComplete, waitForReceipts } from "../stage/measure-burst.ts";
import { memoryOf } from "../stage/process-usage.ts";
import { type RedisServer, redisSettings, startRedisServer } from "../stage/redis-server.ts";
import type { Stage } from "../stage/stage.ts";
import { burstRow, cpuRow } from "../stage/tables.ts";
import type { Part, Scale } from "./part.ts";
import { createFourfoldSite, createPlainSite, measureSite } from "./plain.ts";

/** The same work by what people write themselves: a BullMQ worker that signs, posts and records each attempt. */
export const bullmq: Part = {
  help: "the same work by a BullMQ worker on Redis that signs, posts and records each attempt in Postgres",
  async run({ stage, scale }) {
    const redis = await startRedisServer();
    stage.closing.add(() => redis.stop());
    const databaseUrl = await stage.databases.create();
    await runSql(databaseUrl, tables);
    const site = { redis, databaseUrl };
    const concurrency = await fastestConcurrency(stage, { ...site, fanOut: 1 }, scale);
    const results: Record<string, Comparison<BurstResult>> = {};
    for (const { name, createSite, fanOut } of kindsOfTraffic) {
      const tellwire = await createSite(stage);
      const counts = { events: scale.events / fanOut, warmUpEvents: scale.warmUpEvents / fanOut };
      results[name] = await compare(scale.rounds, {
        // Tellwire to BullMQ, so that more is better as everywhere.
        plain: () => measureWorker(stage, { ...site, concurrency, fanOut }, counts),
        other: () => measureSite(stage, tellwire, counts),
      });
    }
    await redis.stop();
    print(concurrency, results);
    return { concurrency, redis: { version: redis.version, settings: redisSettings }, results };
  },
};

const kindsOfTraffic = [
  { name: "1 webhook an event", createSite: createPlainSite, fanOut: 1 },
  { name: "4 webhooks an event", createSite: createFourfoldSite, fanOut: 4 },
] as const;

function print(concurrency: number, results: Readonly<Record<string, Comparison<BurstResult>>>): void {
  console.log(`\nA BullMQ worker with ${concurrency} jobs at once (Redis: appendfsync everysec), and Tellwire`);
  const entries = Object.entries(results);
  console.table(
    entries.flatMap(([name, { plain, other, ratio }]) => [
      burstRow(`BullMQ, ${name}`, plain),
      { ...burstRow(`Tellwire, ${name}`, other), ratio: ratio.toFixed(2) },
    ]),
  );
  console.table(entries.map(([name, { plain }]) => cpuRow(`BullMQ, ${name}`, plain)));
  console.table(entries.map(([name, { other }]) => cpuRow(`Tellwire, ${name}`, other)));
}

interface WorkerSite {
  redis: RedisServer;
  databaseUrl: string;
  /** How many webhooks want each event. */
  fanOut: number;
}

const candidates = [32, 64, 128, 256];

async function fastestConcurrency(stage: Stage, site: WorkerSite, { warmUpEvents }: Scale): Promise<number> {
  let best = { concurrency: 0, perSecond: 0 };
  for (const concurrency of candidates) {
    const counts = { events: warmUpEvents, warmUpEvents: warmUpEvents / 2 };
    const { perSecond } = await measureWorker(stage, { ...site, concurrency }, counts);
    if (perSecond > best.perSecond) best = { concurrency, perSecond };
  }
  return best.concurrency;
}

/** Starts the worker and the producer, measures one burst, and stops them. */
async function measureWorker(
  stage: Stage,
  { redis, databaseUrl, concurrency, fanOut }: WorkerSite & { concurrency: number },
  counts: Pick<Scale, "events" | "warmUpEvents">,
): Promise<BurstResult> {
  const { receiver, postgres } = stage;
  const producer = startHarnessProcess<ProducerCalls>("bullmq-producer.ts");
  const worker = startHarnessProcess<WorkerCalls>("bullmq-worker.ts");
  stage.closing.add(() => Promise.all([producer.stop(), worker.stop()]));
  try {
    await producer.call("connect", { port: redis.port });
    await worker.call("start", { redisPort: redis.port, databaseUrl, origin: stage.origins.ok, concurrency });
    const groups = webhooksAt(stage.origins.ok, fanOut);
    const processes = { worker, postgres, redis, producer, receiver };
    const result = await measurePipeline(
      {
        async deliver(count) {
          await receiver.call("reset", { group });
          const published = await producer.call("burst", { groups, count });
          await waitForReceipts(stage, group, count * fanOut);
          await producer.call("settle", null);
          return { published, receipts: await receiver.call("report", { group }) };
        },
        fanOut,
        pid: worker.pid,
        memoryAtRest: memoryOf(worker.pid),
        pids: Object.fromEntries(Object.entries(processes).map(([name, { pid }]) => [name, pid])),
      },
      counts,
    );
    requireComplete(result, "BullMQ");
    return result;
  } finally {
    await Promise.all([producer.stop(), worker.stop()]);
  }
}

const group = "bullmq";

/** As many as Tellwire has, those that want the same events together. */
function webhooksAt(origin: string, fanOut: number): BullmqWebhook[][] {
  return Array.from({ length: 20 / fanOut }, (_, number) => {
    const organizationId = randomUUID();
    return Array.from({ length: fanOut }, (_, webhook) => ({
      id: randomUUID(),
      organizationId,
      url: `${origin}/${group}/${number}-${webhook}`,
    }));
  });
}

// One row for each attempt, with the same indexes as Tellwire's row of a delivery that arrives at once.
const tables = `
  create table bench_attempt (
    id uuid primary key, organization_id uuid not null, webhook_id uuid not null, event_id text not null, event_type text not null,
    status text not null, number integer not null, started_at timestamptz not null, latency_ms double precision not null,
    status_code integer not null, url text not null
  );
  create index on bench_attempt (organization_id, id desc);
  create index on bench_attempt (webhook_id, id desc)`;

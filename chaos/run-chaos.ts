import { connect } from "@nats-io/transport-node";
import { WebhookSchema } from "../gen/tellwire/v1/webhook_pb.ts";
import { createRestClient } from "../test/support/rest-client.ts";
import { type ChaosReport, reportOf } from "./chaos-report.ts";
import { createWebhooks } from "./create-webhooks.ts";
import { type DatabaseFindings, type FoundDelivery, openDatabaseFindings } from "./database-findings.ts";
import { type DisturbanceCounts, disturb, noDisturbances } from "./disturb.ts";
import { planDisturbances } from "./disturbances.ts";
import { type Published, publishEvents } from "./publisher.ts";
import { type Receivers, startReceivers } from "./receivers.ts";
import { createScenario } from "./scenario.ts";
import { type Servers, startServers } from "./servers.ts";
import { type Settled, settle } from "./settle.ts";
import { judge, type Verdict } from "./verdict.ts";

export interface ChaosOptions {
  broker: "jetstream" | "postgres";
  /** Decides every event, answer and disturbance. What happens between them is up to the machine. */
  seed: number;
  events: number;
  /** SIGKILLs of a process of Tellwire, of Postgres or of nats-server. Other disturbances come on top. */
  kills: number;
  processes: number;
  /** How long events are published and things break. */
  durationMs: number;
  /** Told about once a second how far the run is. */
  onProgress: (line: string) => void;
  /** Ends the run early: everything that was started is ended, and the promise rejects. */
  signal?: AbortSignal;
  /** Called at the end with what was lost, stuck or out of order, while the logs are there still: by name, the files. */
  onResult: (report: ChaosReport, problems: readonly Record<string, unknown>[], logs: Record<string, string>) => void;
}

/** One run: publishes, breaks, waits until all is well again, and looks at what became of it. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  await using closing = new AsyncDisposableStack();
  const clock = createClock();
  const hasOrdering = WebhookSchema.fields.some(({ localName }) => localName === "ordering");
  const scenario = createScenario({ seed: options.seed, events: options.events, hasOrdering });

  const receivers = await startReceivers(scenario, { durationMs: options.durationMs, elapsedMs: clock.elapsedMs });
  closing.defer(receivers.close);
  const servers = await startServers({ ...options, elapsedMs: clock.elapsedMs });
  closing.defer(servers.close);
  const nats = servers.nats && (await connect({ servers: servers.nats.url, ...keepTrying }));
  closing.defer(async () => await nats?.close());
  const webhooks = await createWebhooks(
    createRestClient(anyUrl(servers, 0) ?? "", servers.operatorKey),
    scenario,
    receivers,
  );

  clock.start();
  const counts = noDisturbances();
  const { published, done } = publishEvents({
    ...webhooks,
    ...options,
    scenario,
    operatorKey: servers.operatorKey,
    apiUrl: (nth) => anyUrl(servers, nth),
    nats,
    elapsedMs: clock.elapsedMs,
  });
  const { signal, onProgress } = options;
  const progress = setInterval(() => onProgress(progressLine(options, published, receivers, counts, clock)), 1_000);
  closing.defer(() => clearInterval(progress));
  await orAborted(
    Promise.all([done, disturb(planDisturbances(options), { servers, counts, elapsedMs: clock.elapsedMs })]),
    signal,
  );

  receivers.heal();
  await orAborted(Promise.all([...servers.slots.values()].map((slot) => slot.up())), signal);
  const database = await openDatabaseFindings(servers.postgres.url);
  closing.defer(database.close);
  const settled = await orAborted(settle({ database, nats, requests: () => receivers.totals().requests }), signal);
  clearInterval(progress);
  const durationMs = Math.round(clock.elapsedMs());

  const recorded = await readRecorded(database, webhooks.webhookIds);
  const verdict = judge({ scenario, states: published.states, receipts: receivers.receipts, recorded });
  const report = reportOf({ options, hasOrdering, published, verdict, counts, servers, settled, durationMs });
  options.onResult(report, await tellOf({ verdict, settled }, database, webhooks.webhookIds), servers.logs());
  return report;
}

const keepTrying = { maxReconnectAttempts: -1, reconnectTimeWait: 200 };

interface Clock {
  /** Milliseconds since `start`, 0 before it. */
  elapsedMs: () => number;
  start: () => void;
}

function createClock(): Clock {
  let startedAt: number | undefined;
  return {
    elapsedMs: () => (startedAt === undefined ? 0 : performance.now() - startedAt),
    start() {
      startedAt = performance.now();
    },
  };
}

function anyUrl({ slots }: Servers, nth: number): string | undefined {
  const urls = [...slots.values()].flatMap((slot) => slot.httpUrl() ?? []);
  return urls[nth % urls.length];
}

async function orAborted<Value>(work: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  signal?.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal?.reason);
  signal?.addEventListener("abort", abort);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

async function readRecorded(
  database: DatabaseFindings,
  webhookIds: readonly string[],
): Promise<Map<number, FoundDelivery>[]> {
  const recorded = webhookIds.map(() => new Map<number, FoundDelivery>());
  const indexOf = new Map(webhookIds.map((id, index) => [id, index]));
  for (const delivery of await database.deliveries()) {
    recorded[indexOf.get(delivery.webhookId) ?? -1]?.set(delivery.eventNumber, delivery);
  }
  return recorded;
}

function progressLine(
  { events, kills }: ChaosOptions,
  { accepted, unacknowledged }: Published,
  receivers: Receivers,
  counts: DisturbanceCounts,
  clock: Clock,
): string {
  const { requests, taken } = receivers.totals();
  const killed = Object.values(counts.kills).reduce((sum, count) => sum + count, 0);
  return (
    `${(clock.elapsedMs() / 1000).toFixed(0).padStart(4)} s: ${accepted + unacknowledged} of ${events} events published, ` +
    `${taken} deliveries received by ${requests} requests, ${killed} of ${kills} kills`
  );
}

/** At most this many of each kind are looked up: the first ones tell the reason. */
const maxTold = 50;

async function tellOf(
  { verdict, settled }: { verdict: Verdict; settled: Settled },
  database: DatabaseFindings,
  webhookIds: readonly string[],
): Promise<Record<string, unknown>[]> {
  const told: Record<string, unknown>[] = [];
  for (const kind of ["lost", "stuck", "inversions"] as const) {
    for (const { webhook, eventNumber, what } of verdict[kind].slice(0, maxTold)) {
      const webhookId = webhookIds[webhook.index] ?? "";
      const found = await database.tellOf(webhookId, eventNumber);
      told.push({ kind, what, webhook: webhook.name, webhookId, eventNumber, ...found });
    }
  }
  // Not of deliveries alone: lanes that nobody takes, or messages that nobody acknowledges.
  return settled.isDone ? told : [...told, { kind: "not settled", settled, lanes: await database.lanes() }];
}

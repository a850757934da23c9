import { connect } from "@nats-io/transport-node";
import { WebhookSchema } from "../gen/tellwire/v1/webhook_pb.ts";
import { parseId } from "../src/domain/ids.ts";
import { createRestClient, type RestClient } from "../test/support/rest-client.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { type DatabaseFindings, type FoundDelivery, openDatabaseFindings } from "./database-findings.ts";
import { type DisturbanceCounts, disturb, noDisturbances } from "./disturb.ts";
import { planDisturbances } from "./disturbances.ts";
import { type Published, publishEvents } from "./publisher.ts";
import { type Receivers, startReceivers } from "./receivers.ts";
import { createScenario, organizationCount, type Scenario, type ScenarioWebhook } from "./scenario.ts";
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
  /** Called where something was lost, stuck or out of order, while the logs are there still: by name, the files. */
  onFailure: (report: ChaosReport, problems: readonly Record<string, unknown>[], logs: Record<string, string>) => void;
}

/** A run's figures. */
export interface ChaosReport {
  broker: "jetstream" | "postgres";
  seed: number;
  events: number;
  processes: number;
  accepted: number;
  unacknowledged: number;
  republished: number;
  expected: number;
  received: number;
  exhausted: number;
  exhaustedForTrouble: number;
  lost: number;
  stuck: number;
  duplicates: number;
  /** Undefined where no webhook was ordered. */
  inversions: number | undefined;
  /** Of deliveries of events that nobody acknowledged: how many arrived. */
  unacknowledgedReceived: number;
  disturbances: DisturbanceCounts;
  /** Processes that ended by themselves, and those that did not end on SIGTERM in time. */
  crashes: number;
  lateEnds: number;
  settled: Settled;
  durationMs: number;
  hasFailed: boolean;
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
  const webhooks = await createWebhooks(scenario, receivers, servers);

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

  const recorded = await readRecorded(database, webhooks.webhookIds);
  const verdict = judge({ scenario, states: published.states, receipts: receivers.receipts, recorded });
  const report = reportOf({ options, hasOrdering, published, verdict, counts, servers, settled, clock });
  if (report.hasFailed) {
    options.onFailure(report, await tellOf(verdict, database, webhooks.webhookIds), servers.logs());
  }
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

/** The organizations and the webhooks, as their owners make them. Resolves when every webhook gets events. */
async function createWebhooks(
  scenario: Scenario,
  receivers: Receivers,
  servers: Servers,
): Promise<{ organizationIds: string[]; webhookIds: string[] }> {
  const rest = createRestClient(anyUrl(servers, 0) ?? "", servers.operatorKey);
  const organizationIds: string[] = [];
  for (let number = 1; number <= organizationCount; number++) {
    const { id } = await rest<{ id: string }>("POST", "/v1/organizations", { name: `Chaos ${number}` });
    organizationIds.push(id);
  }
  const publicIds: string[] = [];
  for (const webhook of scenario.webhooks) {
    const body = webhookBody(webhook, organizationIds[webhook.organization] ?? "", receivers.urlOf(webhook));
    publicIds.push((await rest<{ webhook: { id: string } }>("POST", "/v1/webhooks", body)).webhook.id);
  }
  for (const id of publicIds) {
    await waitFor(() => isActive(rest, id), { timeoutMs: 30_000, what: `the webhook ${id} to be verified` });
  }
  // The tables have the UUIDs.
  return { organizationIds, webhookIds: publicIds.map((id) => parseId("webhook", id) ?? id) };
}

async function isActive(rest: RestClient, id: string): Promise<boolean> {
  const { status } = await rest<{ status: string }>("GET", `/v1/webhooks/${id}`);
  return status === "WEBHOOK_STATUS_ACTIVE";
}

function webhookBody(webhook: ScenarioWebhook, organizationId: string, url: string): Record<string, unknown> {
  const { name, eventTypes, retryDelaysMs, timeoutMs, isOrdered } = webhook;
  const seconds = (ms: number): string => `${ms / 1000}s`;
  return {
    organizationId,
    name,
    url,
    eventTypes,
    retryPolicy: { delays: retryDelaysMs?.map(seconds), timeout: timeoutMs && seconds(timeoutMs) },
    ...(isOrdered ? { ordering: "ORDERING_BY_KEY" } : {}),
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

interface Findings {
  options: ChaosOptions;
  hasOrdering: boolean;
  published: Published;
  verdict: Verdict;
  counts: DisturbanceCounts;
  servers: Servers;
  settled: Settled;
  clock: Clock;
}

function reportOf({
  options,
  hasOrdering,
  published,
  verdict,
  counts,
  servers,
  settled,
  clock,
}: Findings): ChaosReport {
  const { broker, seed, events, processes } = options;
  const slots = [...servers.slots.values()];
  const inversions = hasOrdering ? verdict.inversions.length : undefined;
  return {
    broker,
    seed,
    events,
    processes,
    accepted: published.accepted,
    unacknowledged: published.unacknowledged,
    republished: published.repeated,
    expected: verdict.expected,
    received: verdict.received,
    exhausted: verdict.exhausted,
    exhaustedForTrouble: verdict.exhaustedForTrouble,
    lost: verdict.lost.length,
    // Beside deliveries: messages that nobody acknowledges, and lanes that nobody takes.
    stuck: verdict.stuck.length + settled.pending + settled.forgottenLanes,
    duplicates: verdict.duplicates,
    inversions,
    unacknowledgedReceived: verdict.unacknowledged.received,
    disturbances: counts,
    crashes: slots.reduce((sum, slot) => sum + slot.crashes(), 0),
    lateEnds: slots.reduce((sum, slot) => sum + slot.lateEnds(), 0),
    settled,
    durationMs: Math.round(clock.elapsedMs()),
    hasFailed: verdict.lost.length > 0 || !settled.isDone || verdict.stuck.length > 0 || (inversions ?? 0) > 0,
  };
}

/** At most this many of each kind are looked up: the first ones tell the reason. */
const maxTold = 50;

async function tellOf(
  verdict: Verdict,
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
  return [...told, { kind: "lanes", lanes: await database.lanes() }];
}

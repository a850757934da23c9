import { ackWaitMs, type Broker, type Consumer, type IncomingMessage, type RejectReason } from "../broker/broker.ts";
import { defaultSubjectPrefix } from "../broker/subjects.ts";
import { type IdSource, newUuid } from "../domain/ids.ts";
import type { RetryPolicy } from "../domain/retry.ts";
import type { SecretBox } from "../domain/secret-box.ts";
import type { HttpClient } from "../outbound/http-client.ts";
import type { Sql, StopListening } from "../store/sql.ts";
import { createDispatcher } from "./dispatcher.ts";
import { createFastPath } from "./fast-path.ts";
import { createHealthWriter } from "./health-writer.ts";
import { createLaneWorker } from "./lane-worker.ts";
import { type AttemptReport, createMakeAttempt } from "./make-attempt.ts";
import { createRecorder } from "./recorder.ts";
import { createSubscriptions } from "./subscriptions.ts";

/** The delivery engine of one process: from the broker's messages to recorded deliveries. */
export interface Engine {
  start(): Promise<void>;
  /** Takes no more from the broker, lets attempts finish within the time, hands the rest to the lanes, and records everything. */
  stop(graceMs: number): Promise<void>;
  /** Webhooks of the organization were changed in this process: the next event sees it. Other processes hear of it by NOTIFY. */
  webhooksChanged(organizationId: string): void;
  /** Deliveries were made due in this process. */
  lanesDue(): void;
}

export interface EngineOptions {
  sql: Sql;
  broker: Broker;
  secretBox: SecretBox;
  client: HttpClient;
  ids: IdSource;
  random: () => number;
  /** What holds for webhooks that set none. */
  defaultPolicy: RetryPolicy;
  /** The name that receivers with the CloudEvents handshake know this sender by. */
  requestOrigin: string;
  maxPayloadBytes: number;
  /** The first token of the broker's subjects. */
  subjectPrefix?: string;
  maxPerWebhook: number;
  limits?: Partial<EngineLimits>;
  observer: EngineObserver;
}

/** What a deployment seldom changes; tests do. */
export interface EngineLimits {
  maxUnacknowledged: number;
  maxBatch: number;
  maxInFlight: number;
  budgetMs: number;
  parkMs: number;
  maxLanes: number;
  leaseMs: number;
  pollIntervalMs: number;
  subscriptionsMaxAgeMs: number;
}

const defaultLimits: EngineLimits = {
  maxUnacknowledged: 2_000,
  maxBatch: 500,
  maxInFlight: 1_024,
  // Far below the broker's patience, so that a slow receiver never causes a message to be delivered again.
  budgetMs: Math.min(2_000, ackWaitMs / 4),
  parkMs: 10_000,
  maxLanes: 256,
  leaseMs: 15_000,
  pollIntervalMs: 500,
  subscriptionsMaxAgeMs: 30_000,
};

/** How long it takes, beyond the budget, until what was handed over is recorded, where the database is well. */
const recordingMarginMs = 1_000;

/** What the engine tells of itself, for the log and the figures. */
export interface EngineObserver {
  /** A request to a receiver begins (1) or is over (-1). */
  inFlight(change: 1 | -1): void;
  attempted(report: AttemptReport): void;
  received(events: number): void;
  rejected(message: IncomingMessage, reason: RejectReason, detail: string): void;
  recorded(outcomes: number): void;
  lanesHeld(lanes: number): void;
  /** Our side failed at a stage, and will try again. */
  failed(stage: EngineStage, error: unknown): void;
}

export type EngineStage = "dispatch" | "record" | "lane" | "health";

export function createEngine(options: EngineOptions): Engine {
  const { sql, broker, client, ids, observer } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const now = ids.now;

  const subscriptions = createSubscriptions({
    sql,
    secretBox: options.secretBox,
    defaultPolicy: options.defaultPolicy,
    requestOrigin: options.requestOrigin,
    maxAgeMs: limits.subscriptionsMaxAgeMs,
    maxOrganizations: 10_000,
  });
  const health = createHealthWriter({ sql, intervalMs: 1_000, onFailure: (error) => observer.failed("health", error) });
  const makeAttempt = createMakeAttempt({
    client,
    ids,
    random: options.random,
    onInFlight: observer.inFlight,
    onAttempt(report) {
      const { task, outcome, transition } = report;
      health.add({
        webhookId: task.subscription.webhookId,
        at: now(),
        error: outcome.error && outcome.errorMessage,
        exhausted: transition.status === "EXHAUSTED",
      });
      observer.attempted(report);
    },
  });
  const recorder = createRecorder({
    sql,
    lingerMs: 2,
    maxBatch: 500,
    onCommit({ outcomes, firstDueAt, disabledIn }) {
      observer.recorded(outcomes);
      // Other processes hear of it by NOTIFY. Here the next event sees it, however late the notification comes.
      for (const organizationId of disabledIn) subscriptions.invalidate(organizationId);
      if (firstDueAt !== undefined) {
        lanes.wake(firstDueAt);
      }
    },
    onRetry: (error) => observer.failed("record", error),
  });
  const fastPath = createFastPath({
    makeAttempt,
    recorder,
    now,
    maxPerWebhook: options.maxPerWebhook,
    maxInFlight: limits.maxInFlight,
    budgetMs: limits.budgetMs,
    parkMs: limits.parkMs,
  });
  const lanes = createLaneWorker({
    sql,
    subscriptions,
    makeAttempt,
    recorder,
    now,
    owner: newUuid(ids),
    maxPerWebhook: options.maxPerWebhook,
    maxLanes: limits.maxLanes,
    leaseMs: limits.leaseMs,
    pollIntervalMs: limits.pollIntervalMs,
    onEmpty: fastPath.unpark,
    onHeld: observer.lanesHeld,
    onFailure: (error) => observer.failed("lane", error),
  });
  const dispatcher = createDispatcher({
    broker,
    sql,
    subscriptions,
    fastPath,
    maxPayloadBytes: options.maxPayloadBytes,
    subjectPrefix: options.subjectPrefix ?? defaultSubjectPrefix,
    now,
    settlingMs: limits.budgetMs + recordingMarginMs,
    onReceived: observer.received,
    onRejected: observer.rejected,
    onFailure: (error) => observer.failed("dispatch", error),
  });

  let consumer: Consumer | undefined;
  const listening: StopListening[] = [];

  return {
    async start() {
      listening.push(
        await sql.listen(
          "tellwire_webhooks",
          (organizationId) => subscriptions.invalidate(organizationId),
          () => subscriptions.invalidateAll(),
        ),
        await sql.listen(
          "tellwire_lanes",
          () => lanes.wake(),
          () => lanes.wake(),
        ),
      );
      lanes.start();
      const { maxBatch, maxUnacknowledged } = limits;
      consumer = await broker.consume({ maxBatch, maxUnacknowledged }, dispatcher.handle);
    },
    async stop(graceMs) {
      await consumer?.stop();
      await Promise.all([fastPath.drain(graceMs), lanes.stop(graceMs)]);
      await dispatcher.drain();
      await recorder.flush(graceMs);
      await health.stop();
      await Promise.all(listening.map((stop) => stop()));
    },
    webhooksChanged: (organizationId) => subscriptions.invalidate(organizationId),
    lanesDue: () => lanes.wake(),
  };
}

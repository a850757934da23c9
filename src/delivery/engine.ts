import { ackWaitMs, type Broker, type Consumer, type IncomingMessage, type RejectReason } from "../broker/broker.ts";
import { defaultSubjectPrefix } from "../broker/subjects.ts";
import { type IdSource, newUuid } from "../domain/ids.ts";
import type { RetryPolicy } from "../domain/retry.ts";
import type { SecretBox } from "../domain/secret-box.ts";
import type { HttpClient } from "../outbound/http-client.ts";
import { nameIncarnation } from "../store/sql/incarnation.ts";
import { breakerChannel, parseBreakerNotice, writeBreaker } from "../store/sql/write-breaker.ts";
import type { Sql, StopListening } from "../store/sql.ts";
import { type BacklogPace, createBacklogPace } from "./backlog-pace.ts";
import { boundedSql } from "./bounded-sql.ts";
import { createDispatcher } from "./dispatcher.ts";
import { type BreakerChange, createEndpoints, type EndpointFigures } from "./endpoints.ts";
import type { EventAdmission } from "./event-admission.ts";
import { createFastPath } from "./fast-path.ts";
import { createHealthWriter } from "./health-writer.ts";
import { createLaneWorker } from "./lane-worker.ts";
import { createLoadLimit } from "./load-limit.ts";
import { type AttemptReport, createMakeAttempt } from "./make-attempt.ts";
import { createRecorder, type RecorderOptions } from "./recorder.ts";
import { createRequestSlots } from "./request-slots.ts";
import { createSharedBytes } from "./shared-bytes.ts";
import { createSplitRecorder } from "./split-recorder.ts";
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
  /** Says which events are too many. Left out: none is. */
  admission?: EventAdmission;
  limits?: Partial<EngineLimits>;
  observer: EngineObserver;
  /** Milliseconds on a clock that is never set; the process's own where it is left out. */
  elapsed?: () => number;
  /** Made for this engine where it is left out. */
  backlogPace?: BacklogPace;
}

/** What a deployment seldom changes; tests do. */
export interface EngineLimits {
  maxUnacknowledged: number;
  /** What is enough while the process is busy all the time and far behind (see load-limit.ts). */
  maxUnacknowledgedBusy: number;
  /** Of the bodies of those messages. */
  maxUnacknowledgedBytes: number;
  maxBatch: number;
  /** Requests at once from memory, as many of the lanes, and as many of their backlog. */
  maxInFlight: number;
  /** Requests that take long, beside those, for each of the three. */
  maxSlow: number;
  /** From when on a request is one that takes long. */
  slowMs: number;
  /** What came longer ago is late, whether it goes now or in a moment: it gives way to what has just come. */
  backlogAgeMs: number;
  /** Of the payloads that one lane has read, and that all have; a lane may have a few in any case. */
  maxLaneBytes: number;
  maxLanesBytes: number;
  /** Deliveries in memory that are not recorded yet. */
  maxUnderWay: number;
  /** Deliveries that wait in memory for their turn. */
  maxWaiting: number;
  /** Of the payloads whose requests take longer than the budget. */
  maxLateBytes: number;
  budgetMs: number;
  parkMs: number;
  maxLanes: number;
  /** After how many failures in a row a webhook's circuit breaker opens. */
  failuresToOpen: number;
  leaseMs: number;
  pollIntervalMs: number;
  subscriptionsMaxAgeMs: number;
}

const defaultLimits: EngineLimits = {
  maxUnacknowledged: 2_000,
  maxUnacknowledgedBusy: 1_000,
  maxUnacknowledgedBytes: 32 * 1024 * 1024,
  maxBatch: 500,
  maxInFlight: 1_024,
  maxSlow: 4_096,
  slowMs: 250,
  // Longer than anything takes that is not in trouble.
  backlogAgeMs: 10_000,
  maxLaneBytes: 4 * 1024 * 1024,
  maxLanesBytes: 32 * 1024 * 1024,
  maxUnderWay: 30_000,
  maxWaiting: 10_000,
  maxLateBytes: 32 * 1024 * 1024,
  // Far below the broker's patience, so that a slow receiver never causes a message to be delivered again.
  budgetMs: Math.min(2_000, ackWaitMs / 4),
  parkMs: 10_000,
  maxLanes: 1_024,
  failuresToOpen: 10,
  leaseMs: 15_000,
  pollIntervalMs: 500,
  subscriptionsMaxAgeMs: 5 * 60_000,
};

/** How long it takes, beyond the budget, until what was handed over is recorded, where the database is well. */
const recordingMarginMs = 1_000;

/** Database connections at a time for the work on lanes: however many are due, the deliveries that have just come find one. */
const laneConnections = 4;
/** What each lane may hold of payloads, whatever the others hold: one of the largest events, or a batch of usual ones. */
const leastLaneBytes = 256 * 1024;
const slotSweepMs = 100;
const endpointSweepMs = 100;
const stateMs = 1_000;

/** What the engine tells of itself, for the log and the figures. */
export interface EngineObserver {
  /** A request to a receiver begins (1) or is over (-1). */
  inFlight(change: 1 | -1): void;
  attempted(report: AttemptReport): void;
  /** Our own code failed in an attempt, which counts as a failed one: the error repeats itself with each attempt of this delivery. */
  attemptBroke(report: AttemptReport, error: unknown): void;
  received(events: number): void;
  rejected(message: IncomingMessage, reason: RejectReason, detail: string): void;
  recorded(outcomes: number): void;
  lanesHeld(lanes: number): void;
  /** A webhook's circuit breaker opened or closed in this process. */
  breakerChanged(change: BreakerChange): void;
  /** How things stand, once a second. */
  state(state: EngineState): void;
  /** Our side failed at a stage, and will try again. */
  failed(stage: EngineStage, error: unknown): void;
}

export type EngineStage = "dispatch" | "record" | "lane" | "health" | "breaker";

export interface EngineState {
  /** Deliveries that wait in memory for their turn. */
  waiting: number;
  /** Webhooks whose late deliveries wait for their turn. */
  heldBack: number;
  endpoints: EndpointFigures;
}

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
    maxWebhooks: 200_000,
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
    onBroken: observer.attemptBroke,
  });
  const recording: Omit<RecorderOptions, "paceMs"> = {
    sql,
    lingerMs: 2,
    maxBatch: 500,
    maxWriting: 2,
    onCommit({ outcomes, inDoubt, toBeSent, scheduled, ordered, disabledIn }) {
      observer.recorded(outcomes - inDoubt);
      backlogPace.grew(toBeSent);
      if (inDoubt > 0) {
        observer.failed(
          "record",
          new Error(`the database crashed: events of ${inDoubt} deliveries are taken once more`),
        );
      }
      // Other processes hear of it by NOTIFY. Here the next event sees it, however late the notification comes.
      for (const organizationId of disabledIn) webhooksChanged(organizationId);
      for (const [webhookId, dueAt] of scheduled) lanes.scheduled(webhookId, dueAt);
      lanes.lookAtTurns(ordered);
    },
    onRetry: (error) => observer.failed("record", error),
  };
  const recorder = createSplitRecorder({
    atOnce: createRecorder({ ...recording, paceMs: 20 }),
    others: createRecorder({ ...recording, paceMs: 100, patientPaceMs: 500 }),
  });
  let breakersWritten: Promise<void> = Promise.resolve();
  const endpoints = createEndpoints({
    maxPerWebhook: options.maxPerWebhook,
    failuresToOpen: limits.failuresToOpen,
    now,
    random: options.random,
    onBreaker(change) {
      observer.breakerChanged(change);
      // One after the other: a breaker that opens and closes at once is closed for everybody.
      breakersWritten = breakersWritten
        .then(() => writeBreaker(sql, change))
        .catch((error) => observer.failed("breaker", error));
    },
  });
  const { maxInFlight, maxSlow, slowMs } = limits;
  const backlogPace = options.backlogPace ?? createBacklogPace();
  const slotOptions = { max: maxInFlight, maxSlow, slowMs, now, isHeld: recorder.isFailing };
  const fastPath = createFastPath({
    makeAttempt,
    recorder,
    endpoints,
    slots: createRequestSlots({ ...slotOptions, onBegin: backlogPace.freshBegan }),
    now,
    maxUnderWay: limits.maxUnderWay,
    maxWaiting: limits.maxWaiting,
    maxLateBytes: limits.maxLateBytes,
    budgetMs: limits.budgetMs,
    parkMs: limits.parkMs,
  });
  const laneSlots = createRequestSlots({ ...slotOptions, onBegin: backlogPace.freshBegan });
  const backlogSlots = createRequestSlots({
    ...slotOptions,
    isHeld: () => recorder.isFailing() || !backlogPace.mayBegin(),
    onBegin: backlogPace.began,
  });
  const lanes = createLaneWorker({
    sql: boundedSql(sql, laneConnections),
    leaseSql: sql,
    broker,
    subscriptions,
    makeAttempt,
    recorder,
    endpoints,
    slots: laneSlots,
    backlogSlots,
    backlogAgeMs: limits.backlogAgeMs,
    memory: createSharedBytes({ most: limits.maxLaneBytes, least: leastLaneBytes, inAll: limits.maxLanesBytes }),
    now,
    elapsed: options.elapsed ?? (() => performance.now()),
    owner: newUuid(ids),
    maxLanes: limits.maxLanes,
    leaseMs: limits.leaseMs,
    pollIntervalMs: limits.pollIntervalMs,
    onEmpty: fastPath.unpark,
    onHeld: observer.lanesHeld,
    onFailure: (error) => observer.failed("lane", error),
  });
  const webhooksChanged = (organizationId: string): void => {
    subscriptions.invalidate(organizationId);
    lanes.webhooksChanged(organizationId);
  };
  const settlingMs = limits.budgetMs + recordingMarginMs;
  let changesHeard = (): Promise<void> => Promise.resolve();
  const dispatcher = createDispatcher({
    broker,
    sql,
    subscriptions,
    changesHeard: () => changesHeard(),
    fastPath,
    maxPayloadBytes: options.maxPayloadBytes,
    subjectPrefix: options.subjectPrefix ?? defaultSubjectPrefix,
    now,
    settlingMs,
    repeatSettlingMs: ackWaitMs + settlingMs,
    ...(options.admission === undefined ? {} : { admission: options.admission }),
    onReceived: observer.received,
    onRejected: observer.rejected,
    onFailure: (error) => observer.failed("dispatch", error),
  });

  let consumer: Consumer | undefined;
  const listening: StopListening[] = [];
  const timers: NodeJS.Timeout[] = [];
  const presentState = (): EngineState => ({
    waiting: fastPath.waiting(),
    heldBack: backlogSlots.waiting(),
    endpoints: endpoints.figures(),
  });
  const hearOfBreaker = (payload: string): void => {
    const notice = parseBreakerNotice(payload);
    if (notice !== undefined) {
      endpoints.hear(notice.webhookId, notice);
    }
  };

  return {
    async start() {
      const onGap = (): void => {
        subscriptions.invalidateAll();
        lanes.webhooksChanged(undefined);
      };
      const withStatements = true;
      const listeningToWebhooks = await sql.listen("tellwire_webhooks", webhooksChanged, onGap, { withStatements });
      changesHeard = listeningToWebhooks.caughtUp;
      listening.push(
        listeningToWebhooks,
        await sql.listen(
          "tellwire_lanes",
          // Empty where a lane is due, else the webhook of which a delivery was cancelled.
          (webhookId) => (webhookId === "" ? lanes.wake() : lanes.deliveryCancelled(webhookId)),
          () => lanes.wake(),
        ),
        await sql.listen(breakerChannel, hearOfBreaker, endpoints.doubt),
      );
      timers.push(
        setInterval(laneSlots.sweep, slotSweepMs),
        setInterval(backlogSlots.sweep, slotSweepMs),
        setInterval(endpoints.sweep, endpointSweepMs),
        setInterval(() => observer.state(presentState()), stateMs),
      );
      lanes.start();
      await nameIncarnation(sql);
      const { maxBatch, maxUnacknowledged, maxUnacknowledgedBytes } = limits;
      const presentLimit = createLoadLimit({ most: maxUnacknowledged, whenBusy: limits.maxUnacknowledgedBusy });
      const options = { maxBatch, maxUnacknowledged, maxUnacknowledgedBytes, presentLimit };
      consumer = await broker.consume(options, dispatcher.handle);
    },
    async stop(graceMs) {
      await consumer?.stop();
      await Promise.all([fastPath.drain(graceMs), lanes.stop(graceMs)]);
      await dispatcher.drain();
      await recorder.flush(graceMs);
      timers.forEach(clearInterval);
      await breakersWritten;
      await health.stop();
      await Promise.all(listening.map((stop) => stop()));
    },
    webhooksChanged,
    lanesDue: () => lanes.wake(),
  };
}

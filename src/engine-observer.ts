import type { EngineObserver } from "./delivery/engine.ts";
import type { AttemptReport } from "./delivery/make-attempt.ts";
import { publicId } from "./domain/ids.ts";
import { type DeliveryLine, formatDeliveryLine } from "./telemetry/delivery-line.ts";
import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { createOnceAMinute } from "./telemetry/once-a-minute.ts";
import type { Tally } from "./telemetry/tallied-counter.ts";

export interface EngineObserverOptions {
  log: Log;
  metrics: Metrics;
  now: () => number;
  /** Whether people read the log: then a line of an attempt has no ids beside its text. */
  isForPeople: boolean;
}

/** Turns what the engine tells of itself into figures, and into one readable line for each attempt. */
export function observeEngine({ log, metrics, now, isForPeople }: EngineObserverOptions): EngineObserver {
  const once = createOnceAMinute(now);
  const tallies = new Map<string, Tally>();
  const countOne = (key: string, open: () => Tally): void => {
    let tally = tallies.get(key);
    if (tally === undefined) {
      tally = open();
      tallies.set(key, tally);
    }
    tally.count += 1;
  };
  const count = ({ outcome: { error }, transition: { status } }: AttemptReport, outcome: LineOutcome): void => {
    const key = error === null ? outcome : `${outcome} ${error}`;
    countOne(key, () => metrics.attempts.tally({ outcome, error: error ?? "" }));
    if (status !== "SCHEDULED") {
      countOne(status, () => metrics.deliveries.tally({ outcome: status.toLowerCase() }));
    }
  };
  return {
    inFlight: (change) => metrics.inFlightAttempts.inc(change),
    attempted(report) {
      const outcome = lineOutcome(report);
      count(report, outcome);
      metrics.attemptDuration.observe(report.outcome.latencyMs / 1000);
      // A line costs as much as a tenth of a delivery: what went well is only told to people who watch.
      const level = outcome === "delivered" && !isForPeople ? "debug" : "info";
      if (log.isLevelEnabled(level)) {
        log[level](
          { ...(isForPeople ? {} : attemptIds(report)), ...attemptFailure(report) },
          formatDeliveryLine(deliveryLine(report, now())),
        );
      }
    },
    attemptBroke(report, error) {
      count(report, lineOutcome(report));
      const deliveryId = publicId("delivery", report.task.deliveryId);
      log.error(
        { err: error, ...attemptIds(report), deliveryId },
        "an attempt failed in Tellwire's own code: it counts as a failed attempt, and the next one follows the webhook's schedule",
      );
    },
    received: (events) => metrics.eventsReceived.inc(events),
    rejected(message, reason, detail) {
      metrics.eventsRejected.inc({ reason });
      if (reason === "RATE_LIMITED" || reason === "QUOTA_EXCEEDED") {
        // Somebody who publishes too much must not fill the log as well.
        const [, , organization = ""] = message.subject.split(".");
        const line = once(`${reason} ${organization}`);
        if (line !== undefined)
          log.warn({ organization, reason, detail, ...line }, "rejected events that are too many");
        return;
      }
      log.warn({ subject: message.subject, reason, detail }, "rejected a message that cannot be understood");
    },
    recorded: (outcomes) => metrics.recorderBatchSize.observe(outcomes),
    lanesHeld: (lanes) => metrics.lanesHeld.set(lanes),
    breakerChanged({ webhookId, openUntil, opened }) {
      metrics.breakerChanges.inc({ change: openUntil === null ? "closed" : "opened" });
      const id = publicId("webhook", webhookId);
      if (openUntil === null) {
        log.info({ webhookId: id }, "a receiver answers again: its webhook gets requests as before");
      } else {
        const openForMs = openUntil - now();
        log.warn(
          { webhookId: id, openForMs, opened },
          "a receiver keeps failing: its webhook gets no requests for a while",
        );
      }
    },
    state({ waiting, heldBack, endpoints }) {
      metrics.waitingDeliveries.set(waiting);
      metrics.heldBackWebhooks.set(heldBack);
      metrics.openBreakers.set(endpoints.open);
      metrics.slowedWebhooks.set(endpoints.slowed);
    },
    failed: (stage, error) => log.error({ err: error, stage }, "the delivery engine failed, and tries again"),
  };
}

function deliveryLine(report: AttemptReport, now: number): DeliveryLine {
  const { task, outcome, transition } = report;
  return {
    outcome: lineOutcome(report),
    eventType: task.event.type,
    url: task.subscription.url,
    statusCode: outcome.statusCode,
    error: outcome.error,
    latencyMs: outcome.latencyMs,
    attemptNumber: task.attemptCount + 1,
    deliveryId: publicId("delivery", task.deliveryId),
    nextAttemptInMs: transition.nextAttemptAt === null ? undefined : transition.nextAttemptAt - now,
  };
}

type LineOutcome = DeliveryLine["outcome"];

function lineOutcome({ outcome: { verdict }, transition: { status } }: AttemptReport): LineOutcome {
  if (verdict === "failed") {
    return status === "SCHEDULED" ? "retry" : "exhausted";
  }
  return verdict;
}

function attemptIds({ task }: AttemptReport): Record<string, string> {
  return {
    organizationId: publicId("organization", task.subscription.organizationId),
    webhookId: publicId("webhook", task.subscription.webhookId),
    eventId: task.event.publicId,
  };
}

function attemptFailure({ outcome }: AttemptReport): Record<string, string> {
  return outcome.error === null ? {} : { error: outcome.error, reason: outcome.errorMessage };
}

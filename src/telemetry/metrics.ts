import { type Aggregator, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { createTalliedCounter } from "./tallied-counter.ts";

/** Everything that Tellwire counts. The names are a promise to dashboards. */
export type Metrics = Omit<ReturnType<typeof createMetrics>, "registry"> & { registry: Scrape };

/** What answers a scrape. */
export type Scrape = Pick<Registry, "metrics" | "contentType">;

/**
 * Makes the product's metrics in a registry of their own, those of the process (memory, CPU, event loop) included. Where several processes
 * are added up, each metric's `aggregator` says how.
 */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const [name, aggregator] of Object.entries(aggregators)) aggregateBy(registry, name, aggregator);
  new Gauge({ name: "tellwire_processes", help: "Processes that these figures are the sum of.", registers }).set(1);
  return {
    /** Answers a scrape, with `registry.contentType`. */
    registry,
    eventsReceived: new Counter({
      name: "tellwire_events_received_total",
      help: "Events that the dispatcher took from the broker for the first time.",
      registers,
    }),
    eventsRejected: new Counter({
      name: "tellwire_events_rejected_total",
      help: "Messages that could not be understood, or were too many for their organization, and went to tellwire.rejected.>.",
      labelNames: ["reason"],
      registers,
    }),
    callsRefused: new Counter({
      name: "tellwire_calls_refused_total",
      help: "Calls that were refused because of a limit, by the limit's name.",
      labelNames: ["limit"],
      registers,
    }),
    deliveries: createTalliedCounter({
      name: "tellwire_deliveries_total",
      help: "Deliveries that reached a final status, by that status.",
      labelNames: ["outcome"],
      registers,
    }),
    attempts: createTalliedCounter({
      name: "tellwire_attempts_total",
      help: "Requests to receivers, by what follows from them and by the kind of failure (empty after a success).",
      labelNames: ["outcome", "error"],
      registers,
    }),
    attemptDuration: new Histogram({
      name: "tellwire_attempt_duration_seconds",
      help: "How long requests to receivers took, from the lookup of the name to the last byte that was read.",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60],
      registers,
    }),
    inFlightAttempts: new Gauge({
      name: "tellwire_in_flight_attempts",
      help: "Requests to receivers that are under way.",
      registers,
    }),
    lanesHeld: new Gauge({
      name: "tellwire_lanes_held",
      help: "Webhooks whose scheduled deliveries are being worked on.",
      registers,
    }),
    waitingDeliveries: new Gauge({
      name: "tellwire_waiting_deliveries",
      help: "Deliveries that wait in this process's memory for their turn.",
      registers,
    }),
    heldBackWebhooks: new Gauge({
      name: "tellwire_held_back_webhooks",
      help: "Webhooks whose deliveries are late and wait for their turn, because this process is busy with what has just come.",
      registers,
    }),
    breakerChanges: new Counter({
      name: "tellwire_breaker_changes_total",
      help: "How often a webhook's circuit breaker opened or closed in this process.",
      labelNames: ["change"],
      registers,
    }),
    openBreakers: new Gauge({
      name: "tellwire_open_breakers",
      help: "Webhooks that get no requests because their receivers kept failing, as far as this process knows.",
      registers,
    }),
    slowedWebhooks: new Gauge({
      name: "tellwire_slowed_webhooks",
      help: "Webhooks that get fewer requests at once than every webhook begins with, because their receivers do not bear more.",
      registers,
    }),
    recorderBatchSize: new Histogram({
      name: "tellwire_recorder_batch_size",
      help: "Outcomes that were written to the database in one transaction.",
      buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000],
      registers,
    }),
  };
}

/**
 * How figures of several processes become one where prom-client's own way would hide something: the mean of a blocked event loop and an idle
 * one looks healthy, so the worst counts. What is not named here is summed, as prom-client does with memory, CPU and handles.
 */
const aggregators: Readonly<Record<string, Aggregator>> = {
  nodejs_eventloop_lag_seconds: "max",
  nodejs_eventloop_lag_mean_seconds: "max",
  nodejs_eventloop_lag_stddev_seconds: "max",
  nodejs_eventloop_lag_p50_seconds: "max",
  nodejs_eventloop_lag_p90_seconds: "max",
  nodejs_eventloop_lag_p99_seconds: "max",
  // Of the process that runs longest, where prom-client would leave it out.
  process_start_time_seconds: "min",
};

function aggregateBy(registry: Registry, name: string, aggregator: Aggregator): void {
  const metric = registry.getSingleMetric(name);
  if (metric === undefined) throw new Error(`prom-client has no metric ${name}`);
  Object.assign(metric, { aggregator });
}

import { expect, it } from "vitest";
import { createMetrics } from "../../src/telemetry/metrics.ts";

it("a scrape shows the product's metrics under the names that dashboards know, and those of the process", async () => {
  const metrics = createMetrics();
  metrics.eventsReceived.inc(2);
  metrics.eventsRejected.inc({ reason: "BAD_JSON" });
  metrics.deliveries.tally({ outcome: "delivered" }).count += 1;
  metrics.attempts.tally({ outcome: "retry", error: "TIMEOUT" }).count += 1;
  metrics.attemptDuration.observe(0.012);
  metrics.inFlightAttempts.set(3);
  metrics.lanesHeld.set(1);
  metrics.recorderBatchSize.observe(100);
  metrics.waitingDeliveries.set(7);
  metrics.heldBackWebhooks.set(5);
  metrics.breakerChanges.inc({ change: "opened" });
  metrics.openBreakers.set(2);
  metrics.slowedWebhooks.set(4);
  const lines = (await metrics.registry.metrics()).split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      "tellwire_events_received_total 2",
      'tellwire_events_rejected_total{reason="BAD_JSON"} 1',
      'tellwire_deliveries_total{outcome="delivered"} 1',
      'tellwire_attempts_total{outcome="retry",error="TIMEOUT"} 1',
      'tellwire_attempt_duration_seconds_bucket{le="0.025"} 1',
      "tellwire_in_flight_attempts 3",
      "tellwire_lanes_held 1",
      "tellwire_waiting_deliveries 7",
      "tellwire_held_back_webhooks 5",
      'tellwire_breaker_changes_total{change="opened"} 1',
      "tellwire_open_breakers 2",
      "tellwire_slowed_webhooks 4",
      'tellwire_recorder_batch_size_bucket{le="100"} 1',
      expect.stringMatching(/^process_cpu_seconds_total /),
    ]),
  );
});

it("two sets of metrics in one process do not disturb each other", async () => {
  const [first, second] = [createMetrics(), createMetrics()];
  first.eventsReceived.inc();
  expect(await second.registry.metrics()).toContain("tellwire_events_received_total 0");
});

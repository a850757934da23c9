import { expect, it } from "vitest";
import { createMetricsSum } from "../../src/commands/serve/metrics-sum.ts";
import type { Figures } from "../../src/commands/serve/process-messages.ts";
import { createSharedScrape } from "../../src/commands/serve/shared-scrape.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";

interface FakeProcess {
  metrics: ReturnType<typeof createMetrics>;
  isBusy: boolean;
}

it("counters, histograms and gauges are added up", async () => {
  const [one, two] = [process(), process()];
  one.metrics.eventsReceived.inc(3);
  two.metrics.eventsReceived.inc(4);
  one.metrics.inFlightAttempts.set(5);
  two.metrics.inFlightAttempts.set(6);
  one.metrics.attemptDuration.observe(0.012);
  two.metrics.attemptDuration.observe(40);
  const lines = (await sumOf([one, two]).text()).split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      "tellwire_events_received_total 7",
      "tellwire_in_flight_attempts 11",
      'tellwire_attempt_duration_seconds_bucket{le="0.025"} 1',
      'tellwire_attempt_duration_seconds_bucket{le="+Inf"} 2',
      "tellwire_attempt_duration_seconds_count 2",
      "tellwire_processes 2",
    ]),
  );
});

it("the lag of the event loop is that of the worst process, and the start that of the oldest", async () => {
  const text = await sumOf([process(), process()]).text();
  const own = Object.fromEntries(
    (await createMetrics().registry.getMetricsAsJSON()).map(({ name, aggregator }) => [name, aggregator]),
  );
  expect(own).toMatchObject({
    nodejs_eventloop_lag_p99_seconds: "max",
    nodejs_eventloop_lag_mean_seconds: "max",
    nodejs_eventloop_lag_min_seconds: "min",
    process_resident_memory_bytes: "sum",
    process_cpu_seconds_total: "sum",
    process_start_time_seconds: "min",
  });
  const started = Number(/^process_start_time_seconds (\d+)/m.exec(text)?.[1]);
  // It is in whole seconds, and may be rounded up.
  expect(started).toBeLessThanOrEqual(Date.now() / 1000 + 1);
});

it("a process that does not answer in time counts with what it said the last time", async () => {
  const [one, two] = [process(), process()];
  const sum = sumOf([one, two]);
  one.metrics.eventsReceived.inc(1);
  two.metrics.eventsReceived.inc(10);
  await sum.text();
  one.metrics.eventsReceived.inc(1);
  two.metrics.eventsReceived.inc(10);
  two.isBusy = true;
  expect(await sum.text()).toContain("tellwire_events_received_total 12\n");
});

it("a process that ends takes its gauges away, and leaves its counters", async () => {
  const [one, two, three] = [process(), process(), process()];
  const running = [one, two];
  const sum = sumOf(running);
  for (const { metrics } of [one, two, three]) {
    metrics.eventsReceived.inc(10);
    metrics.recorderBatchSize.observe(7);
    metrics.lanesHeld.set(2);
  }
  await sum.text();
  for (const ended of running.splice(0)) sum.ended(ended);
  running.push(three);
  const lines = (await sum.text()).split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      "tellwire_events_received_total 30",
      "tellwire_recorder_batch_size_sum 21",
      'tellwire_recorder_batch_size_bucket{le="10"} 3',
      "tellwire_lanes_held 2",
      "tellwire_processes 1",
    ]),
  );
});

it("a process that ends while it is waited for holds up nobody", async () => {
  const [one, two] = [process(), process()];
  two.isBusy = true;
  const sum = sumOf([one, two], 60_000);
  const text = sum.text();
  sum.ended(two);
  expect(await text).toContain("tellwire_processes 1\n");
});

it("without an answer of the supervisor a process shows its own figures, and says so", async () => {
  const own = createMetrics();
  own.eventsReceived.inc(5);
  const scrape = createSharedScrape({ own: own.registry, number: 2, sum: () => Promise.resolve(undefined) });
  const text = await scrape.metrics();
  expect(text).toMatch(/^# The supervisor did not answer in time: these are the figures of process 2 alone\.\n# HELP /);
  expect(text).toContain("tellwire_events_received_total 5\n");
});

function process(): FakeProcess {
  return { metrics: createMetrics(), isBusy: false };
}

/** The sum over processes that answer as real ones do, as JSON. */
function sumOf(processes: FakeProcess[], timeoutMs = 200) {
  const sum = createMetricsSum<FakeProcess>({
    processes: () => processes,
    ask: (asked, id) => {
      if (asked.isBusy) return;
      void asked.metrics.registry
        .getMetricsAsJSON()
        .then((figures) => sum.answered(asked, id, JSON.parse(JSON.stringify(figures)) as Figures));
    },
    timeoutMs,
  });
  return sum;
}

import { expect, it } from "vitest";
import { restartDelayMs } from "../../src/commands/serve/restart-delay.ts";
import { describeEnd } from "../../src/commands/serve/worker-end.ts";

it("a process that ends is replaced at once, and one that keeps ending after longer and longer pauses", () => {
  const delays = [1, 2, 3, 4, 5, 6, 7, 8, 1_000].map(restartDelayMs);
  expect(delays).toEqual([0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});

it.each([
  [{ code: 1, signal: null, failure: undefined }, "exit code 1: what it wrote last says why"],
  [{ code: 0, signal: null, failure: undefined }, /^somebody stopped it alone: .*supervisor/],
  [{ code: null, signal: "SIGKILL", failure: undefined }, /^SIGKILL: .*memory.*TELLWIRE_PROCESSES/],
  [{ code: null, signal: "SIGABRT", failure: undefined }, /^SIGABRT: .*standard error/],
  [{ code: null, signal: "SIGUSR2", failure: undefined }, "SIGUSR2: somebody sent it that signal"],
  [{ code: 1, signal: null, failure: "cannot connect to NATS" }, "cannot connect to NATS"],
])("%j is told with what can be done", (end, text) => {
  expect(describeEnd(end)).toMatch(text);
});

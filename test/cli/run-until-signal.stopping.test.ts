import { afterEach, expect, it } from "vitest";
import { runUntilSignal } from "../../src/commands/run-until-signal.ts";
import { createLog } from "../../src/telemetry/log.ts";

const log = createLog({ level: "silent", format: "json", output: { write: () => {} } });

afterEach(() => {
  process.removeAllListeners("SIGINT");
  process.removeAllListeners("SIGTERM");
});

it("the first signal closes, and the end waits for it", async () => {
  const closing = Promise.withResolvers<void>();
  let ended = false;
  const codes: number[] = [];
  const running = runUntilSignal({
    close: () => closing.promise,
    graceMs: 1_000,
    log,
    exit: (code) => codes.push(code),
  }).then(() => {
    ended = true;
  });
  process.emit("SIGTERM", "SIGTERM");
  await Promise.resolve();
  expect(ended).toBe(false);
  closing.resolve();
  await running;
  expect(codes).toEqual([]);
});

it.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("a second signal, %s, exits at once with %i and closes nothing twice", async (signal, code) => {
  let closed = 0;
  let nowMs = 1_000;
  const codes: number[] = [];
  const closing = Promise.withResolvers<void>();
  const close = (): Promise<void> => {
    closed++;
    return closing.promise;
  };
  const exit = (exitCode: number): void => void codes.push(exitCode);
  const running = runUntilSignal({ close, graceMs: 1_000, log, exit, now: () => nowMs });
  process.emit("SIGTERM", "SIGTERM");
  nowMs += 500;
  process.emit(signal, signal);
  expect([codes, closed]).toEqual([[code], 1]);
  closing.resolve();
  await running;
});

it("a close that fails is told to who waits", async () => {
  const running = runUntilSignal({
    close: () => Promise.reject(new Error("boom")),
    graceMs: 1_000,
    log,
    exit: () => {},
  });
  process.emit("SIGINT", "SIGINT");
  await expect(running).rejects.toThrow("boom");
});

it("one Ctrl-C that arrives twice, from the terminal and from npm, is one signal", async () => {
  const codes: number[] = [];
  const closing = Promise.withResolvers<void>();
  const exit = (code: number): void => void codes.push(code);
  const running = runUntilSignal({ close: () => closing.promise, graceMs: 1_000, log, exit, now: () => 0 });
  process.emit("SIGINT", "SIGINT");
  process.emit("SIGINT", "SIGINT");
  closing.resolve();
  await running;
  expect(codes).toEqual([]);
});

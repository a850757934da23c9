import { pino } from "pino";
import { expect, test } from "vitest";
import { createHealthSource, type HealthCheck } from "../../../src/api/servers/health-source.ts";
import { TellwireError } from "../../../src/errors.ts";

const passes: HealthCheck = async () => {};
const hangs: HealthCheck = () => new Promise(() => {});
const lines: string[] = [];
const log = pino({}, { write: (line: string) => void lines.push(line) });

test("a process is ready when every check passes", async () => {
  const source = createHealthSource({ checks: { database: passes, broker: passes }, log });
  expect(await source.ready()).toEqual({ ok: true, checks: { database: { ok: true }, broker: { ok: true } } });
});

test("a check that gives no answer fails at its timeout, is told so, and hides no other's result", async () => {
  let signal: AbortSignal | undefined;
  const broker: HealthCheck = (given) => {
    signal = given;
    return hangs(given);
  };
  const source = createHealthSource({ checks: { database: passes, broker }, log, timeoutMs: 20 });
  expect(await source.ready()).toEqual({
    ok: false,
    checks: { database: { ok: true }, broker: { ok: false, error: "gave no answer within 20 ms" } },
  });
  expect(signal?.aborted).toBe(true);
});

test("our own errors are shown; of others only the failure, and the log has the cause", async () => {
  const database: HealthCheck = () => Promise.reject(new Error("password authentication failed for user root"));
  const broker: HealthCheck = () => {
    throw new TellwireError("BROKER_UNAVAILABLE", "the broker does not answer");
  };
  const { ok, checks } = await createHealthSource({ checks: { database, broker }, log }).ready();
  expect(ok).toBe(false);
  expect(checks).toEqual({
    database: { ok: false, error: "failed; the log says why" },
    broker: { ok: false, error: "the broker does not answer" },
  });
  expect(lines.join()).toContain("password authentication failed");
});

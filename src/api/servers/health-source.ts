import type { Logger } from "pino";
import { TellwireError } from "../../errors.ts";

/** Says whether this process can do its work. */
export interface HealthSource {
  ready(): Promise<Readiness>;
}

/** What the parts say, by their names (`database`, `broker`). Everybody may read it: an error's text holds no address and no secret. */
export interface Readiness {
  ok: boolean;
  checks: Readonly<Record<string, CheckState>>;
}

export interface CheckState {
  ok: boolean;
  error?: string;
}

/** A check passes when it resolves. Its signal aborts when nobody waits for it any more. */
export type HealthCheck = (signal: AbortSignal) => Promise<unknown>;

export interface HealthSourceOptions {
  checks: Readonly<Record<string, HealthCheck>>;
  log: Pick<Logger, "warn">;
  /** The time that each check has, in milliseconds. */
  timeoutMs?: number;
}

/**
 * Runs all checks at once; none waits longer than its timeout. A check that fails shows the text of its TellwireError; of any other error
 * only that it failed, since such texts name hosts and users, and the log has the whole error. `ready` never rejects.
 */
export function createHealthSource({ checks, log, timeoutMs = 2000 }: HealthSourceOptions): HealthSource {
  return {
    async ready() {
      const states = await Promise.all(
        Object.entries(checks).map(async ([name, check]) => [name, await run(name, check, timeoutMs, log)] as const),
      );
      return { ok: states.every(([, { ok }]) => ok), checks: Object.fromEntries(states) };
    },
  };
}

async function run(
  name: string,
  check: HealthCheck,
  timeoutMs: number,
  log: Pick<Logger, "warn">,
): Promise<CheckState> {
  const deadline = new AbortController();
  const { promise: timedOut, resolve } = Promise.withResolvers<CheckState>();
  const timer = setTimeout(() => {
    resolve({ ok: false, error: `gave no answer within ${timeoutMs} ms` });
    deadline.abort();
  }, timeoutMs);
  const state = await Promise.race([outcome(name, check, deadline.signal, log), timedOut]);
  clearTimeout(timer);
  return state;
}

async function outcome(
  name: string,
  check: HealthCheck,
  signal: AbortSignal,
  log: Pick<Logger, "warn">,
): Promise<CheckState> {
  try {
    await check(signal);
    return { ok: true };
  } catch (error) {
    log.warn({ err: error, check: name }, "a health check failed");
    return { ok: false, error: error instanceof TellwireError ? error.message : "failed; the log says why" };
  }
}

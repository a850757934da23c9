import type { HealthSource, Readiness } from "./health-source.ts";

/** Whether this process serves: what its health source says, until it begins to shut down. */
export interface ServingState {
  /** The readiness of this moment. Never rejects; answers within the timeout; not ok once the shutdown has begun. */
  check(): Promise<Readiness>;
  /** Aborts when the shutdown begins. */
  readonly closing: AbortSignal;
  /** Begins the shutdown: from now on nothing here says that it serves. May be called more than once. */
  stop(): void;
}

export interface ServingStateOptions {
  source: HealthSource;
  /** The time that the source has for its answer, in milliseconds; more than the source gives each of its checks. */
  timeoutMs?: number;
  /** How long an answer is used again, in milliseconds: probes need no key, so that they must not become load on the database. */
  freshMs?: number;
  /** Milliseconds of a clock that never goes back. */
  nowMs?: () => number;
}

export function createServingState(options: ServingStateOptions): ServingState {
  const { source, timeoutMs = 3000, freshMs = 500, nowMs = () => performance.now() } = options;
  const closing = new AbortController();
  let latest: { readiness: Promise<Readiness>; freshUntilMs: number } | undefined;

  return {
    closing: closing.signal,
    stop: () => closing.abort(),
    async check() {
      if (closing.signal.aborted) return { ok: false, checks: {} };
      if (latest === undefined || nowMs() >= latest.freshUntilMs) {
        const entry = { readiness: ask(source, timeoutMs), freshUntilMs: Number.POSITIVE_INFINITY };
        latest = entry;
        void entry.readiness.then(() => {
          entry.freshUntilMs = nowMs() + freshMs;
        });
      }
      const readiness = await latest.readiness;
      return closing.signal.aborted ? { ok: false, checks: {} } : readiness;
    },
  };
}

async function ask(source: HealthSource, timeoutMs: number): Promise<Readiness> {
  const { promise: timedOut, resolve } = Promise.withResolvers<Readiness>();
  const timer = setTimeout(() => resolve(notReady(`no answer within ${timeoutMs} ms`)), timeoutMs);
  const readiness = await Promise.race([answer(source), timedOut]);
  clearTimeout(timer);
  return readiness;
}

async function answer(source: HealthSource): Promise<Readiness> {
  try {
    return await source.ready();
  } catch {
    return notReady("the health checks failed");
  }
}

function notReady(error: string): Readiness {
  return { ok: false, checks: { health: { ok: false, error } } };
}

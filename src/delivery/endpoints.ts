import {
  breakerAfter,
  breakerElsewhere,
  type CircuitBreaker,
  closedBreaker,
  isSignOfLife,
  probeAbandoned,
  probing,
} from "../domain/circuit-breaker.ts";
import {
  type ConcurrencyLimit,
  hasRoom,
  initialLimit,
  isOverload,
  limitAfterOverload,
  limitAfterRestart,
  limitAfterSuccess,
} from "../domain/concurrency-limit.ts";
import type { AttemptRecord } from "../store/sql/write-attempts.ts";

/**
 * What this process knows of each receiver: how many requests it bears at once, and whether it gets any. One state for the fast path and the
 * lane of a webhook, so that what holds for a webhook holds for both together. Times in milliseconds since the epoch.
 */
export interface Endpoints {
  /** The state of a webhook, made where there is none. Not to be kept beyond the request or the lane that it was asked for. */
  of(webhookId: string): Endpoint;
  /** Whether one more request may begin now. */
  mayStart(endpoint: Endpoint): boolean;
  /** Begins a request: every one that is begun must be finished. Where the breaker is half-open it is the one that shows how things are. */
  start(endpoint: Endpoint): void;
  /** The attempt tells how it went; undefined where nothing was found out, as where the failure was our own. `by` the other gets the next turn. */
  finish(endpoint: Endpoint, attempt: AttemptRecord | undefined, by: EndpointUser): void;
  /** A request that was begun at this time takes too long: the receiver gets one at a time, and from its lane alone until the time. */
  slowDown(endpoint: Endpoint, startedAt: number, parkedUntil: number): void;
  /** What the lane's row says of the breaker and of the rate. */
  adopt(endpoint: Endpoint, row: { openUntil: number | null; opened: number; rateTime: number | null }): void;
  /** What another process says of a breaker; of a webhook without state, only an open one matters. */
  hear(webhookId: string, breaker: { openUntil: number | null; opened: number }): void;
  /** News may have been missed: every open breaker is to be tried again. */
  doubt(): void;
  /** Forgets what has been idle, of the next thousand: very many at a time would be a pause for everybody. To be called ten times a second. */
  sweep(): void;
  figures(): EndpointFigures;
}

/** Who sends to a webhook. */
export type EndpointUser = "fast path" | "lane";

/** The state of one webhook; changed by `Endpoints` alone, but for the fields of the users. */
export interface Endpoint {
  readonly webhookId: string;
  inFlight: number;
  limit: ConcurrencyLimit;
  breaker: CircuitBreaker;
  /** How long its requests take, smoothed. */
  latencyMs: number;
  usedAt: number;
  /** Until then the fast path leaves it to its lane. */
  parkedUntil: number;
  /** See rate-limit.ts; the lane's. */
  rateTime: number | null;
  /** Those who wait for room, to be called when there is some. */
  waiting: { [User in EndpointUser]: (() => void) | undefined };
}

export interface EndpointFigures {
  known: number;
  open: number;
  /** Webhooks with a limit below the one that every webhook begins with. */
  slowed: number;
}

export interface EndpointsOptions {
  /** The operator's bound for requests at once to one webhook. */
  maxPerWebhook: number;
  /** After how many failures in a row a breaker opens. */
  failuresToOpen: number;
  now: () => number;
  random: () => number;
  /** A breaker opened or closed here, for the other processes. */
  onBreaker: (change: BreakerChange) => void;
}

/** `openUntil` is null where it closed. `opened`: how often in a row. */
export interface BreakerChange {
  webhookId: string;
  openUntil: number | null;
  opened: number;
}

export function createEndpoints({
  maxPerWebhook,
  failuresToOpen,
  now,
  random,
  onBreaker,
}: EndpointsOptions): Endpoints {
  const endpoints = new Map<string, Endpoint>();
  const untried = initialLimit(maxPerWebhook);
  /** Goes on where the last look ended; what was added meanwhile comes last. */
  let sweeping = endpoints.values();

  const of = (webhookId: string): Endpoint => {
    let endpoint = endpoints.get(webhookId);
    if (endpoint === undefined) {
      endpoint = newEndpoint(webhookId, untried);
      endpoints.set(webhookId, endpoint);
    }
    return endpoint;
  };

  /** Without a word to the others: they know, or hear of it from who calls. */
  const setBreaker = (endpoint: Endpoint, breaker: CircuitBreaker): void => {
    if (breaker.state === "closed" && endpoint.breaker.state !== "closed") {
      endpoint.limit = limitAfterRestart(endpoint.limit, now());
    }
    endpoint.breaker = breaker;
  };

  const judge = (endpoint: Endpoint, { error, statusCode, startedAt }: AttemptRecord, at: number): void => {
    const before = endpoint.breaker;
    if (error === null) {
      endpoint.limit = limitAfterSuccess(endpoint.limit, endpoint);
    } else if (isOverload(error, statusCode)) {
      endpoint.limit = limitAfterOverload(endpoint.limit, { startedAt, now: at });
    }
    const after = breakerAfter(before, {
      isWell: isSignOfLife(error, statusCode),
      startedAt,
      now: at,
      failuresToOpen,
      random,
    });
    if (after === before) {
      return;
    }
    setBreaker(endpoint, after);
    if (after.state !== "closed" || before.state !== "closed") {
      onBreaker({ webhookId: endpoint.webhookId, ...sharedBreaker(after) });
    }
  };

  return {
    of,
    mayStart({ breaker, limit, inFlight }) {
      return breaker.state === "closed" ? hasRoom(limit, inFlight) : probing(breaker, now()) !== undefined;
    },
    start(endpoint) {
      endpoint.inFlight += 1;
      if (endpoint.breaker.state !== "closed") {
        endpoint.breaker = probing(endpoint.breaker, now()) ?? endpoint.breaker;
      }
    },
    finish(endpoint, attempt, by) {
      const at = now();
      endpoint.usedAt = at;
      if (attempt === undefined || attempt.error === "INTERNAL") {
        endpoint.breaker = probeAbandoned(endpoint.breaker, at);
      } else {
        endpoint.latencyMs += (attempt.latencyMs - endpoint.latencyMs) / smoothing;
        judge(endpoint, attempt, at);
      }
      endpoint.inFlight -= 1;
      const { waiting } = endpoint;
      // Each in turn, so that neither what has just come nor what has waited in the lane keeps the other out.
      waiting[by === "lane" ? "fast path" : "lane"]?.();
      waiting[by]?.();
    },
    slowDown(endpoint, startedAt, parkedUntil) {
      endpoint.parkedUntil = parkedUntil;
      if (startedAt > endpoint.limit.loweredAt) {
        endpoint.limit = limitAfterRestart(endpoint.limit, now());
      }
    },
    adopt(endpoint, { openUntil, opened, rateTime }) {
      if (rateTime !== null) {
        endpoint.rateTime = Math.max(rateTime, endpoint.rateTime ?? rateTime);
      }
      // Where this process knows of an open breaker and the row does not, the row is about to be written.
      if (endpoint.breaker.state === "closed" && openUntil !== null) {
        setBreaker(endpoint, breakerElsewhere(openUntil, opened));
      }
    },
    hear(webhookId, { openUntil, opened }) {
      if (openUntil !== null || endpoints.has(webhookId)) {
        const endpoint = of(webhookId);
        endpoint.usedAt = now();
        setBreaker(endpoint, breakerElsewhere(openUntil, opened));
        endpoint.waiting.lane?.();
        endpoint.waiting["fast path"]?.();
      }
    },
    doubt() {
      for (const endpoint of endpoints.values()) {
        if (endpoint.breaker.state === "open") {
          endpoint.breaker = { ...endpoint.breaker, openUntil: Math.min(endpoint.breaker.openUntil, now()) };
        }
      }
    },
    sweep() {
      const idleMs = endpoints.size > manyEndpoints ? 0 : rememberedMs;
      const at = now();
      for (let looks = 0; looks < sweptAtOnce; looks++) {
        const { done, value: endpoint } = sweeping.next();
        if (done) {
          sweeping = endpoints.values();
          return;
        }
        if (isForgettable(endpoint, at, idleMs)) {
          endpoints.delete(endpoint.webhookId);
        }
      }
    },
    figures() {
      let open = 0;
      let slowed = 0;
      for (const { breaker, limit } of endpoints.values()) {
        open += breaker.state === "closed" ? 0 : 1;
        slowed += limit.value < untried.value ? 1 : 0;
      }
      return { known: endpoints.size, open, slowed };
    },
  };
}

/** The breaker as the lane's row and the other processes see it. */
export function sharedBreaker(breaker: CircuitBreaker): { openUntil: number | null; opened: number } {
  switch (breaker.state) {
    case "closed":
      return { openUntil: null, opened: 0 };
    case "open":
      return { openUntil: breaker.openUntil, opened: breaker.opened };
    case "half-open":
      return { openUntil: breaker.since, opened: breaker.opened };
  }
}

function newEndpoint(webhookId: string, limit: ConcurrencyLimit): Endpoint {
  return {
    webhookId,
    inFlight: 0,
    limit,
    breaker: closedBreaker,
    latencyMs: 0,
    usedAt: Number.NEGATIVE_INFINITY,
    parkedUntil: Number.NEGATIVE_INFINITY,
    rateTime: null,
    waiting: { "fast path": undefined, lane: undefined },
  };
}

/** What was learned about a receiver is kept for a while after its last request, and an open breaker for a while after its time. */
function isForgettable(endpoint: Endpoint, now: number, idleMs: number): boolean {
  const { waiting, breaker, usedAt, parkedUntil, rateTime } = endpoint;
  if (endpoint.inFlight > 0 || waiting.lane !== undefined || waiting["fast path"] !== undefined) {
    return false;
  }
  const isHealthy = breaker.state === "closed" && breaker.failures === 0;
  const idleSince = Math.max(usedAt, breaker.state === "open" ? breaker.openUntil : 0);
  const busyUntil = Math.max(parkedUntil, rateTime ?? 0);
  return busyUntil <= now && idleSince + (isHealthy ? idleMs : troubledMs) <= now;
}

/** The weight of the newest request in the smoothed latency is one in this many. */
const smoothing = 8;
/** Beyond it, healthy ones are forgotten as soon as they are idle. */
const manyEndpoints = 20_000;
const rememberedMs = 60_000;
const sweptAtOnce = 1_000;
const troubledMs = 600_000;

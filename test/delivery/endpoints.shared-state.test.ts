import { describe, expect, it } from "vitest";
import { type BreakerChange, createEndpoints, type Endpoints } from "../../src/delivery/endpoints.ts";
import type { AttemptError } from "../../src/domain/attempt.ts";
import { newEvent } from "../support/engine.ts";

interface Fixture {
  endpoints: Endpoints;
  changes: BreakerChange[];
  clock: { at: number };
}

function fixture(): Fixture {
  const clock = { at: 1_000_000 };
  const changes: BreakerChange[] = [];
  const endpoints = createEndpoints({
    maxPerWebhook: 32,
    failuresToOpen: 10,
    now: () => clock.at,
    random: () => 0,
    onBreaker: (change) => void changes.push(change),
  });
  return { endpoints, changes, clock };
}

/** A request from its beginning to its end, a millisecond later. */
function request({ endpoints, clock }: Fixture, webhookId: string, error: AttemptError | null = null): void {
  const endpoint = endpoints.of(webhookId);
  const startedAt = clock.at;
  endpoints.start(endpoint);
  clock.at += 1;
  endpoints.finish(endpoint, attempt(startedAt, error), "fast path");
}

function attempt(startedAt: number, error: AttemptError | null) {
  const { id } = newEvent("o");
  const request = { id, deliveryId: id, number: 1, trigger: "SCHEDULE" as const, startedAt, latencyMs: 1 };
  return { ...request, statusCode: 0, error, errorMessage: "", responseBody: Buffer.alloc(0), url: "http://receiver/" };
}

function failTenTimes(made: Fixture, webhookId: string): void {
  for (let failure = 0; failure < 10; failure += 1) request(made, webhookId, "TLS");
}

describe("the state of a receiver", () => {
  it("allows eight requests at once to one of which nothing is known", () => {
    const { endpoints } = fixture();
    const endpoint = endpoints.of("w");
    let begun = 0;
    for (; endpoints.mayStart(endpoint); begun += 1) endpoints.start(endpoint);
    expect(begun).toBe(8);
  });

  it("tells of a breaker once when it opens and once when it closes, and then allows one request", () => {
    const made = fixture();
    failTenTimes(made, "w");
    const openUntil = made.clock.at + 5_000;
    expect(made.changes).toEqual([{ webhookId: "w", openUntil, opened: 1 }]);
    const endpoint = made.endpoints.of("w");
    expect(made.endpoints.mayStart(endpoint)).toBe(false);
    made.clock.at = openUntil;
    expect(made.endpoints.mayStart(endpoint)).toBe(true);
    made.endpoints.start(endpoint);
    expect(made.endpoints.mayStart(endpoint)).toBe(false);
    made.endpoints.finish(endpoint, attempt(made.clock.at, null), "lane");
    expect(made.changes.slice(1)).toEqual([{ webhookId: "w", openUntil: null, opened: 0 }]);
    made.endpoints.start(endpoint);
    expect(made.endpoints.mayStart(endpoint)).toBe(false);
  });

  it("takes another process's word for it, and tries at once where news may have been missed", () => {
    const made = fixture();
    made.endpoints.hear("w", { openUntil: made.clock.at + 60_000, opened: 2 });
    expect(made.endpoints.mayStart(made.endpoints.of("w"))).toBe(false);
    made.endpoints.doubt();
    expect(made.endpoints.mayStart(made.endpoints.of("w"))).toBe(true);
    made.endpoints.hear("w", { openUntil: null, opened: 0 });
    expect(made.endpoints.mayStart(made.endpoints.of("w"))).toBe(true);
    expect(made.changes).toEqual([]);
  });

  it("is forgotten when idle, but not while its breaker is open", () => {
    const made = fixture();
    for (let webhook = 0; webhook < 100; webhook += 1) request(made, `healthy${webhook}`);
    failTenTimes(made, "sick");
    made.endpoints.sweep();
    expect(made.endpoints.figures()).toMatchObject({ known: 101, open: 1 });
    made.clock.at += 61_000;
    made.endpoints.sweep();
    expect(made.endpoints.figures()).toMatchObject({ known: 1, open: 1 });
    made.clock.at += 3_600_000;
    made.endpoints.sweep();
    expect(made.endpoints.figures()).toEqual({ known: 0, open: 0, slowed: 0 });
  });

  it("is forgotten a thousand at a time, the next ones where the last look ended", () => {
    const made = fixture();
    for (let webhook = 0; webhook < 2_500; webhook += 1) request(made, `idle${webhook}`);
    made.clock.at += 61_000;
    const left = Array.from({ length: 3 }, () => {
      made.endpoints.sweep();
      return made.endpoints.figures().known;
    });
    expect(left).toEqual([1_500, 500, 0]);
    request(made, "later");
    made.clock.at += 61_000;
    for (let look = 0; look < 2; look += 1) made.endpoints.sweep();
    expect(made.endpoints.figures().known).toBe(0);
  });

  it("is forgotten as soon as it is idle where there are more than 20,000, and those in trouble are not", () => {
    const made = fixture();
    failTenTimes(made, "sick");
    for (let webhook = 0; webhook < 20_500; webhook += 1) request(made, `healthy${webhook}`);
    for (let look = 0; look < 30; look += 1) made.endpoints.sweep();
    const { known, open } = made.endpoints.figures();
    expect(known).toBeLessThanOrEqual(20_000);
    expect(known).toBeGreaterThan(15_000);
    expect(open).toBe(1);
  });

  it("gives the other user the next turn, so that neither the lane nor what has just come is kept out", () => {
    const { endpoints, clock } = fixture();
    const endpoint = endpoints.of("w");
    const turns: string[] = [];
    endpoint.waiting = { lane: () => void turns.push("lane"), "fast path": () => void turns.push("fast path") };
    for (const by of ["fast path", "lane"] as const) {
      endpoints.start(endpoint);
      endpoints.finish(endpoint, attempt(clock.at, null), by);
    }
    expect(turns).toEqual(["lane", "fast path", "fast path", "lane"]);
  });
});

import { expect, test } from "vitest";
import { createBacklogPace } from "../../src/delivery/backlog-pace.ts";

/** Of one second. */
interface Moment {
  load: number;
  /** Requests for what has just come. */
  fresh: number;
  /** Deliveries left to lanes. */
  growth?: number;
}

function backlog() {
  let nowMs = 0;
  let load = 0;
  const pace = createBacklogPace({ utilization: () => load, now: () => nowMs });
  /** How many deliveries of the backlog begin in so many seconds, where there is no end of them and receivers bear 1,000 a second. */
  const begunIn = (seconds: number, { fresh, growth = 0, ...moment }: Moment): number => {
    load = moment.load;
    let begun = 0;
    for (const end = nowMs + seconds * 1000; nowMs < end; nowMs += 10) {
      for (let each = 0; each < fresh / 100; each++) pace.freshBegan();
      pace.grew(growth / 100);
      for (let each = 0; each < 10 && pace.mayBegin(); each++) {
        pace.began();
        begun += 1;
      }
    }
    return begun;
  };
  return { pace, begunIn };
}

test("it takes what receivers bear while the process has time left, or nothing else to send", () => {
  const { begunIn } = backlog();
  expect(begunIn(10, { load: 0.5, fresh: 1_000 })).toBeGreaterThan(9_800);
  expect(begunIn(10, { load: 1, fresh: 0 })).toBeGreaterThan(9_900);
});

test("it gives way to what has just come as soon as the process is busy, and comes back when it is not", () => {
  const { begunIn } = backlog();
  begunIn(10, { load: 0.5, fresh: 1_000 });
  // From 1,000 a second by a fifth ten times a second.
  begunIn(2, { load: 0.9, fresh: 1_000 });
  expect(begunIn(10, { load: 0.9, fresh: 1_000 })).toBeLessThan(600);
  begunIn(10, { load: 0.5, fresh: 1_000 });
  expect(begunIn(10, { load: 0.5, fresh: 1_000 })).toBe(10_000);
});

test("between the two it goes on as fast as it does", () => {
  const { begunIn } = backlog();
  begunIn(2, { load: 0.9, fresh: 1_000 });
  begunIn(1, { load: 0.5, fresh: 1_000 });
  const before = begunIn(10, { load: 0.7, fresh: 1_000 });
  expect(before).toBeGreaterThan(1_000);
  expect(begunIn(10, { load: 0.7, fresh: 1_000 })).toBe(before);
});

test("it never stands still: 50 a second begin, or one for each 32 that have just come", () => {
  const { begunIn } = backlog();
  begunIn(5, { load: 1, fresh: 100 });
  expect(begunIn(100, { load: 1, fresh: 100 })).toBeCloseTo(5_000, -2);
  expect(begunIn(100, { load: 1, fresh: 6_400 })).toBeCloseTo(20_000, -3);
});

test("it shrinks: twice as many begin as are left to lanes meanwhile", () => {
  const { begunIn } = backlog();
  begunIn(20, { load: 1, fresh: 1_000, growth: 300 });
  const begun = begunIn(10, { load: 1, fresh: 1_000, growth: 300 });
  expect(begun).toBeGreaterThan(5_800);
  expect(begun).toBeLessThan(6_200);
});

test("after a time in which nobody asked, no more begin at once than in some tenths of a second", () => {
  const { pace, begunIn } = backlog();
  begunIn(5, { load: 1, fresh: 100 });
  const begunAtOnce = begunIn(0.01, { load: 1, fresh: 100 });
  expect(begunAtOnce).toBeLessThanOrEqual(15);
  expect(pace.mayBegin()).toBe(false);
});

test("by itself it follows the event loop that it runs in", () => {
  const pace = createBacklogPace();
  let begun = 0;
  let freshAt = 0;
  // As long as nothing else gets a turn, the loop is busy.
  for (const until = performance.now() + 500; performance.now() < until; ) {
    if (performance.now() > freshAt + 5) {
      freshAt = performance.now();
      pace.freshBegan();
    }
    if (pace.mayBegin()) {
      pace.began();
      begun += 1;
    }
  }
  expect(begun).toBeGreaterThan(0);
  expect(begun).toBeLessThan(60);
});

import { describe, expect, test } from "vitest";
import { type TransitionInput, transitionAfter } from "../../src/domain/delivery-transition.ts";

const policy = { delaysMs: [1_000, 10_000], maxAttempts: 3, timeoutMs: 1_000 };
const failed: TransitionInput = {
  verdict: "failed",
  attemptNumber: 1,
  policy,
  manualRetry: null,
  retryAfterMs: undefined,
  now: 50_000,
  random: () => 0,
};

describe("what an attempt means for its delivery", () => {
  test("a success ends it", () => {
    expect(transitionAfter({ ...failed, verdict: "delivered" })).toEqual({
      status: "DELIVERED",
      statusReason: "",
      nextAttemptAt: null,
      completedAt: 50_000,
      disableWebhook: null,
    });
  });

  test("a failure schedules the next attempt by the schedule", () => {
    expect(transitionAfter(failed)).toMatchObject({ status: "SCHEDULED", nextAttemptAt: 51_000, completedAt: null });
    expect(transitionAfter({ ...failed, attemptNumber: 2 })).toMatchObject({ nextAttemptAt: 60_000 });
  });

  test("the last failure of the schedule exhausts it", () => {
    expect(transitionAfter({ ...failed, attemptNumber: 3 })).toMatchObject({
      status: "EXHAUSTED",
      statusReason: "all 3 attempts failed",
      nextAttemptAt: null,
      completedAt: 50_000,
    });
  });

  test("a receiver's Retry-After puts the next attempt off", () => {
    expect(transitionAfter({ ...failed, retryAfterMs: 7_000 })).toMatchObject({ nextAttemptAt: 57_000 });
  });

  test("the one retry of a finished delivery is the last", () => {
    expect(transitionAfter({ ...failed, manualRetry: "ONCE" })).toMatchObject({ status: "EXHAUSTED" });
  });

  test("a retry that was only moved forward keeps its schedule", () => {
    expect(transitionAfter({ ...failed, manualRetry: "NOW" })).toMatchObject({ status: "SCHEDULED" });
  });

  test("410 ends the delivery and disables the webhook with a reason", () => {
    const gone = transitionAfter({ ...failed, verdict: "gone" });
    expect(gone).toMatchObject({ status: "EXHAUSTED", nextAttemptAt: null });
    expect(gone.disableWebhook).toContain("410");
  });
});

import type { DeliveryStatus, ManualRetry } from "./delivery.ts";
import { nextAttempt, type RetryPolicy } from "./retry.ts";

/** What an attempt means for its delivery and, where the receiver is gone, for its webhook. */
export interface DeliveryTransition {
  status: DeliveryStatus;
  statusReason: string;
  /** Milliseconds since the epoch; null where no attempt follows. */
  nextAttemptAt: number | null;
  completedAt: number | null;
  /** Set where the webhook is to be disabled: the reason, for its owner. */
  disableWebhook: string | null;
}

export interface TransitionInput {
  verdict: "delivered" | "failed" | "gone";
  /** The number of the attempt, from 1. */
  attemptNumber: number;
  policy: RetryPolicy;
  manualRetry: ManualRetry | null;
  retryAfterMs: number | undefined;
  /** When the attempt ended, in milliseconds since the epoch. */
  now: number;
  random: () => number;
}

/** Decides what becomes of a delivery after an attempt. A 2xx ends it well, a 410 ends it and disables the webhook. */
export function transitionAfter(input: TransitionInput): DeliveryTransition {
  switch (input.verdict) {
    case "delivered":
      return finished("DELIVERED", "", input.now);
    case "gone": {
      const reason = "the receiver answered 410 Gone: it wants no more events";
      return finished("EXHAUSTED", reason, input.now, reason);
    }
    case "failed":
      return afterFailure(input);
  }
}

function afterFailure(input: TransitionInput): DeliveryTransition {
  const { manualRetry, policy, attemptNumber, retryAfterMs, now, random } = input;
  if (manualRetry === "ONCE") {
    return finished("EXHAUSTED", "the retry that was asked for failed", now);
  }
  const next = nextAttempt({ policy, attemptCount: attemptNumber, retryAfterMs, random });
  switch (next.kind) {
    case "retry":
      return {
        status: "SCHEDULED",
        statusReason: "",
        nextAttemptAt: now + next.delayMs,
        completedAt: null,
        disableWebhook: null,
      };
    case "exhausted":
      return finished("EXHAUSTED", `all ${attemptNumber} attempts failed`, now);
  }
}

function finished(
  status: DeliveryStatus,
  statusReason: string,
  now: number,
  disableWebhook: string | null = null,
): DeliveryTransition {
  return { status, statusReason, nextAttemptAt: null, completedAt: now, disableWebhook };
}

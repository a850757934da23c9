import type { AttemptError } from "../domain/attempt.ts";

/** What a finished attempt's line tells. */
export interface DeliveryLine {
  /** What follows from the attempt: see `formatDeliveryLine`. */
  outcome: "delivered" | "retry" | "exhausted" | "gone";
  eventType: string;
  url: string;
  /** The response's status code, 0 where there was no response. */
  statusCode: number;
  /** null after a success. */
  error: AttemptError | null;
  latencyMs: number;
  /** 1 for the first. */
  attemptNumber: number;
  /** `dlv_…` */
  deliveryId: string;
  /** Until the next attempt, where there is one. */
  nextAttemptInMs?: number | undefined;
}

/**
 * An attempt as one line for people: `delivered order.paid → https://example.com/hook 200 in 12 ms (attempt 1, dlv_…)`, or
 * `failed order.paid → … 503 in 12 ms, next attempt in 5 s (attempt 1, dlv_…)`. Query strings are left out: they may hold tokens.
 */
export function formatDeliveryLine(line: DeliveryLine): string {
  const answer = line.statusCode || (line.error ?? "no answer");
  const request = `${line.eventType} → ${withoutQuery(line.url)} ${answer} in ${Math.round(line.latencyMs)} ms`;
  return `${words[line.outcome]} ${request}${sequel(line)} (attempt ${line.attemptNumber}, ${line.deliveryId})`;
}

const words = { delivered: "delivered", retry: "failed", exhausted: "gave up", gone: "gone" } as const;

function sequel({ outcome, nextAttemptInMs }: DeliveryLine): string {
  if (outcome === "gone") return ", webhook disabled";
  return nextAttemptInMs === undefined ? "" : `, next attempt in ${formatDuration(nextAttemptInMs)}`;
}

function withoutQuery(url: string): string {
  const end = url.indexOf("?");
  return end === -1 ? url : `${url.slice(0, end)}?…`;
}

/** The largest unit that leaves a number worth reading: 900 ms, 5 s, 30 min, 14 h. */
function formatDuration(durationMs: number): string {
  const units = [
    [1000, 1, "ms"],
    [120_000, 1000, "s"],
    [7_200_000, 60_000, "min"],
    [Number.POSITIVE_INFINITY, 3_600_000, "h"],
  ] as const;
  const [, unitMs, name] = units.find(([belowMs]) => durationMs < belowMs) ?? units[3];
  return `${Math.round(durationMs / unitMs)} ${name}`;
}

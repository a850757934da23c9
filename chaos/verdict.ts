import type { FoundDelivery } from "./database-findings.ts";
import { publishStates } from "./publisher.ts";
import type { Receipts } from "./receipts.ts";
import { eventOf, refusesEvent, type Scenario, type ScenarioWebhook, wantsEvent } from "./scenario.ts";

/** What became of a run's deliveries. */
export interface Verdict {
  /** Of accepted events. */
  expected: number;
  received: number;
  exhausted: number;
  /** Exhausted although the receiver takes the event when it is well: legitimate, and rare if the schedule is long enough. */
  exhaustedForTrouble: number;
  /** Requests for an event that came after the receiver had taken it. */
  duplicates: number;
  /** Of events whose publisher got no acknowledgement. */
  unacknowledged: { expected: number; received: number };
  lost: Problem[];
  stuck: Problem[];
  inversions: Problem[];
}

/** A delivery that is not as it should be. */
export interface Problem {
  webhook: ScenarioWebhook;
  eventNumber: number;
  what: string;
}

export interface VerdictInput {
  scenario: Scenario;
  /** Values of publishStates, by the event's number. */
  states: Uint8Array;
  /** By the webhook's index. */
  receipts: readonly Receipts[];
  /** By the webhook's index: its deliveries in the database, by the event's number. */
  recorded: readonly ReadonlyMap<number, FoundDelivery>[];
}

/** Compares what was accepted with what the receivers saw and what the database says. */
export function judge(input: VerdictInput): Verdict {
  const verdict: Verdict = {
    expected: 0,
    received: 0,
    exhausted: 0,
    exhaustedForTrouble: 0,
    duplicates: 0,
    unacknowledged: { expected: 0, received: 0 },
    lost: [],
    stuck: [],
    inversions: [],
  };
  for (const webhook of input.scenario.webhooks) {
    for (let number = 0; number < input.scenario.events; number++) {
      if (wantsEvent(webhook, eventOf(number))) {
        judgeDelivery(verdict, input, webhook, number);
      }
    }
    if (webhook.isOrdered) {
      verdict.inversions.push(...inversionsOf(input, webhook));
    }
  }
  return verdict;
}

function judgeDelivery(
  verdict: Verdict,
  { scenario, states, receipts, recorded }: VerdictInput,
  webhook: ScenarioWebhook,
  number: number,
): void {
  const seen = receipts[webhook.index];
  const isTaken = (seen?.takenAt[number] ?? 0) > 0;
  const delivery = recorded[webhook.index]?.get(number);
  verdict.duplicates += seen?.repeated[number] ?? 0;
  if (delivery?.status === "SCHEDULED") {
    verdict.stuck.push({ webhook, eventNumber: number, what: `still scheduled, ${isTaken ? "and" : "not"} received` });
    return;
  }
  if (states[number] !== publishStates.accepted) {
    verdict.unacknowledged.expected += 1;
    verdict.unacknowledged.received += isTaken ? 1 : 0;
    return;
  }
  verdict.expected += 1;
  if (isTaken && (delivery?.status === "DELIVERED" || delivery?.status === "EXHAUSTED")) {
    verdict.received += 1;
    return;
  }
  const lost = lossOf(delivery, isTaken);
  if (lost !== undefined) {
    verdict.lost.push({ webhook, eventNumber: number, what: lost });
    return;
  }
  verdict.exhausted += 1;
  verdict.exhaustedForTrouble += refusesEvent(scenario, webhook, number) ? 0 : 1;
}

/** Undefined where the delivery was given up after its attempts, as it may be. */
function lossOf(delivery: FoundDelivery | undefined, isTaken: boolean): string | undefined {
  if (delivery === undefined) {
    return isTaken ? "received, and not recorded" : "neither received nor recorded";
  }
  if (delivery.status !== "EXHAUSTED") {
    return `${delivery.status.toLowerCase()} in the database, ${isTaken ? "and" : "not"} received`;
  }
  const { attemptCount, recordedAttempts } = delivery;
  return recordedAttempts < attemptCount || attemptCount < 2
    ? `exhausted with ${attemptCount} attempts, of which ${recordedAttempts} are recorded`
    : undefined;
}

/**
 * Events whose first request came before an earlier event of their key was received, or given up. An earlier event whose publisher got no
 * acknowledgement has no place of its own in the order.
 */
function inversionsOf({ scenario, states, receipts, recorded }: VerdictInput, webhook: ScenarioWebhook): Problem[] {
  const seen = receipts[webhook.index];
  const problems: Problem[] = [];
  /** By key: when the last one of the events so far was done with, and which one that was. */
  const done = new Map<string, { at: number; number: number }>();
  for (let number = 0; number < scenario.events && seen !== undefined; number++) {
    const event = eventOf(number);
    if (event.orderingKey === undefined || !wantsEvent(webhook, event) || states[number] !== publishStates.accepted) {
      continue;
    }
    const before = done.get(event.orderingKey);
    const firstAt = seen.firstAt[number] ?? 0;
    if (before !== undefined && firstAt !== 0 && firstAt < before.at) {
      const what = `request ${firstAt} came before request ${before.at} for the earlier event ${before.number} of ${event.orderingKey}`;
      problems.push({ webhook, eventNumber: number, what });
    }
    const isGivenUp = recorded[webhook.index]?.get(number)?.status === "EXHAUSTED";
    const at = seen.takenAt[number] || (isGivenUp ? (seen.lastAt[number] ?? 0) : 0);
    if (at > (before?.at ?? 0)) {
      done.set(event.orderingKey, { at, number });
    }
  }
  return problems;
}

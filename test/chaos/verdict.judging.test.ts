import { expect, test } from "vitest";
import type { FoundDelivery } from "../../chaos/database-findings.ts";
import { publishStates } from "../../chaos/publisher.ts";
import { createReceipts, type Receipts } from "../../chaos/receipts.ts";
import { createScenario, eventOf, type Scenario, type ScenarioWebhook, wantsEvent } from "../../chaos/scenario.ts";
import { judge, type VerdictInput } from "../../chaos/verdict.ts";

const scenario = createScenario({ seed: 1, events: 400, hasOrdering: true });

test("a run in which everything arrived is well", () => {
  const verdict = judge(allArrived());
  expect(verdict).toMatchObject({ lost: [], stuck: [], inversions: [], duplicates: 0, exhausted: 0 });
  expect(verdict.expected).toBeGreaterThan(scenario.events);
  expect(verdict.received).toBe(verdict.expected);
});

test("a delivery that is neither received nor recorded is lost", () => {
  const { input, seen, recorded, number } = oneDelivery("healthy-1");
  seen.takenAt[number] = 0;
  recorded.delete(number);
  expect(judge(input).lost).toMatchObject([{ eventNumber: number, what: "neither received nor recorded" }]);
});

test("a delivery that only the database calls delivered is lost", () => {
  const { input, seen, number } = oneDelivery("healthy-1");
  seen.takenAt[number] = 0;
  expect(judge(input).lost).toMatchObject([{ what: "delivered in the database, not received" }]);
});

test("a delivery that was received and has no record is lost", () => {
  const { input, recorded, number } = oneDelivery("healthy-1");
  recorded.delete(number);
  expect(judge(input).lost).toHaveLength(1);
});

test("a delivery that was given up counts as exhausted only with every attempt on record", () => {
  const { input, seen, recorded, number, delivery } = oneDelivery("refusing-1");
  seen.takenAt[number] = 0;
  recorded.set(number, { ...delivery, status: "EXHAUSTED", attemptCount: 6, recordedAttempts: 6 });
  expect(judge(input)).toMatchObject({ exhausted: 1, lost: [] });
  recorded.set(number, { ...delivery, status: "EXHAUSTED", attemptCount: 6, recordedAttempts: 5 });
  expect(judge(input).lost).toHaveLength(1);
});

test("a delivery that is still scheduled is stuck, whether it was received or not", () => {
  const { input, recorded, number, delivery } = oneDelivery("flaky-1");
  recorded.set(number, { ...delivery, status: "SCHEDULED" });
  expect(judge(input)).toMatchObject({ lost: [], stuck: [{ eventNumber: number }] });
});

test("an event whose publisher got no acknowledgement need not arrive", () => {
  const { input, seen, recorded, number } = oneDelivery("healthy-1");
  input.states[number] = publishStates.unacknowledged;
  seen.takenAt[number] = 0;
  recorded.delete(number);
  expect(judge(input).lost).toEqual([]);
});

test("an event that is received before an earlier one of its key is an inversion, and of other keys it is none", () => {
  const { input, seen, number } = oneDelivery("ordered-1");
  const next = nextOfKey(webhookNamed("ordered-1"), number);
  swap(seen.firstAt, number, next);
  swap(seen.takenAt, number, next);
  expect(judge(input).inversions).toMatchObject([{ eventNumber: next }]);
  swap(seen.firstAt, number, next);
  swap(seen.takenAt, number, next);
  swap(seen.firstAt, number, number + 2);
  swap(seen.takenAt, number, number + 2);
  expect(judge(input).inversions).toEqual([]);
});

test("an event that is sent while the receiver has not yet taken the earlier one is an inversion, even if that one was tried before", () => {
  const { input, seen, number } = oneDelivery("ordered-1");
  const next = nextOfKey(webhookNamed("ordered-1"), number);
  seen.takenAt[number] = (seen.firstAt[next] ?? 0) + 1;
  expect(judge(input).inversions).toMatchObject([{ eventNumber: next }]);
});

test("an event that was given up holds the later ones of its key back until its last attempt", () => {
  const { input, seen, recorded, number, delivery } = oneDelivery("ordered-1");
  const next = nextOfKey(webhookNamed("ordered-1"), number);
  recorded.set(number, { ...delivery, status: "EXHAUSTED", attemptCount: 2, recordedAttempts: 2 });
  seen.takenAt[number] = 0;
  expect(judge(input).inversions).toEqual([]);
  seen.lastAt[number] = (seen.firstAt[next] ?? 0) + 1;
  expect(judge(input).inversions).toMatchObject([{ eventNumber: next }]);
});

/** Every event accepted, and received in its order by one request each. */
function allArrived(): VerdictInput & { receipts: Receipts[]; recorded: Map<number, FoundDelivery>[] } {
  const receipts = scenario.webhooks.map(() => createReceipts(scenario.events));
  const recorded = scenario.webhooks.map(() => new Map<number, FoundDelivery>());
  let requests = 0;
  for (let number = 0; number < scenario.events; number++) {
    for (const webhook of scenario.webhooks.filter((candidate) => wantsEvent(candidate, eventOf(number)))) {
      requests += 1;
      const seen = receipts[webhook.index]!;
      seen.count[number] = 1;
      seen.firstAt[number] = seen.lastAt[number] = seen.takenAt[number] = requests;
      recorded[webhook.index]!.set(number, {
        webhookId: webhook.name,
        eventNumber: number,
        status: "DELIVERED",
        attemptCount: 1,
        recordedAttempts: 1,
      });
    }
  }
  return { scenario, states: new Uint8Array(scenario.events).fill(publishStates.accepted), receipts, recorded };
}

/** A run in which all is well, and in it one delivery of the webhook, to be changed. */
function oneDelivery(name: string): {
  input: VerdictInput;
  seen: Receipts;
  recorded: Map<number, FoundDelivery>;
  number: number;
  delivery: FoundDelivery;
} {
  const input = allArrived();
  const webhook = webhookNamed(name);
  const recorded = input.recorded[webhook.index]!;
  const [number, delivery] = [...recorded][0]!;
  return { input, seen: input.receipts[webhook.index]!, recorded, number, delivery };
}

function webhookNamed(name: string, { webhooks }: Scenario = scenario): ScenarioWebhook {
  return webhooks.find((webhook) => webhook.name === name)!;
}

function nextOfKey(webhook: ScenarioWebhook, number: number): number {
  const { orderingKey } = eventOf(number);
  const later = Array.from({ length: scenario.events - number - 1 }, (_, index) => eventOf(number + 1 + index));
  return later.find((event) => event.orderingKey === orderingKey && wantsEvent(webhook, event))!.number;
}

function swap(places: Uint32Array, one: number, other: number): void {
  [places[one], places[other]] = [places[other]!, places[one]!];
}

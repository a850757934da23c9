import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { Outcome, Recorder } from "../../src/delivery/recorder.ts";
import { createSplitRecorder } from "../../src/delivery/split-recorder.ts";
import { attemptOf, delivered, failed, scheduledRecord } from "../store/store-under-test.ts";

const target = { organizationId: randomUUID(), webhookId: randomUUID() };

test("what arrived at once is not held up by what did not", () => {
  const { recorder, atOnce, others } = split();
  const [one, other] = [scheduledRecord(target), scheduledRecord(target)];
  const handedOver: Outcome = { delivery: one };
  const success = attempted(delivered(other, 1));
  const failure = attempted(failed(other, 1, Date.now()));
  for (const outcome of [handedOver, success, failure]) recorder.record(outcome, () => {});
  expect(atOnce.outcomes()).toEqual([success]);
  expect(others.outcomes()).toEqual([handedOver, failure]);
});

test("the late success of a delivery that is being handed over goes behind it, and one of a delivery that was handed over before does not", () => {
  const { recorder, atOnce, others } = split();
  const delivery = scheduledRecord(target);
  const success = attempted(delivered(delivery, 1));
  recorder.record({ delivery }, () => {});
  recorder.record(success, () => {});
  expect(others.outcomes()).toEqual([{ delivery }, success]);
  others.write();
  recorder.record(success, () => {});
  expect(atOnce.outcomes()).toEqual([success]);
});

test("whoever waits is told what came of it, by either", () => {
  const { recorder, atOnce, others } = split();
  const told: unknown[] = [];
  recorder.record(attempted(delivered(scheduledRecord(target), 1)), (refusal) => told.push(["at once", refusal]));
  recorder.record({ delivery: scheduledRecord(target) }, (refusal) => told.push(["other", refusal]));
  others.write("no place for it");
  atOnce.write();
  expect(told).toEqual([
    ["other", "no place for it"],
    ["at once", undefined],
  ]);
});

test("where either fails, no request begins", () => {
  const { recorder, atOnce, others } = split();
  expect(recorder.isFailing()).toBe(false);
  atOnce.failing = true;
  expect(recorder.isFailing()).toBe(true);
  atOnce.failing = false;
  others.failing = true;
  expect(recorder.isFailing()).toBe(true);
});

const attempted = (delivery: Outcome["delivery"]): Outcome => ({ delivery, attempt: attemptOf(delivery) });

function split() {
  const [atOnce, others] = [heldRecorder(), heldRecorder()];
  return { recorder: createSplitRecorder({ atOnce, others }), atOnce, others };
}

/** Keeps what it is given until it is told to write it. */
function heldRecorder() {
  const held: { outcome: Outcome; onRecorded: (refusal?: unknown) => void }[] = [];
  const recorder = {
    failing: false,
    record: (outcome: Outcome, onRecorded: (refusal?: unknown) => void) => void held.push({ outcome, onRecorded }),
    isFailing: () => recorder.failing,
    flush: () => Promise.resolve(),
    outcomes: () => held.map(({ outcome }) => outcome),
    write(refusal?: unknown) {
      for (const { onRecorded } of held.splice(0)) onRecorded(refusal);
    },
  };
  return recorder satisfies Recorder;
}

import { expect, it } from "vitest";
import { progressPercent, type RecoveryPosition } from "../../src/domain/recovery.ts";

const since = new Date(1_000_000);
const until = new Date(2_000_000);

const cases: [what: string, values: Partial<RecoveryPosition>, percent: number][] = [
  ["nothing looked at yet", { reached: null }, 0],
  ["half of the time", { reached: new Date(1_500_000) }, 50],
  ["a part of a hundredth less", { reached: new Date(1_509_999) }, 50],
  ["all of the time, but not at its end", { reached: until }, 99],
  ["before the time, by a clock that differs", { reached: new Date(0) }, 0],
  ["completed, with nothing found", { status: "COMPLETED", reached: null }, 100],
  ["cancelled on its way", { status: "CANCELLED", reached: new Date(1_250_000) }, 25],
];

it.each(cases)("the progress of a recovery: %s", (_what, values, percent) => {
  expect(progressPercent({ status: "RUNNING", since, until, reached: null, ...values })).toBe(percent);
});

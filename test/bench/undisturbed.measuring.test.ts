import { describe, expect, it } from "vitest";
import { undisturbed } from "../../bench/stage/undisturbed.ts";

/** Measures what is given, one after the other: the shares that were stolen. */
async function measureAll(...stolen: number[]): Promise<{ kept: number; disturbed: number[] }> {
  let next = 0;
  const measure = async (): Promise<number> => {
    const measured = stolen[next++];
    if (measured === undefined) throw new Error("measured once more than there is something to measure");
    return measured;
  };
  const result = await undisturbed(measure, { tries: 3, stolenIn: (measured) => measured });
  expect(next).toBe(stolen.length);
  return result;
}

describe("what is measured while much of the machine is stolen", () => {
  it("is measured once where 2 % were stolen at most", async () => {
    expect(await measureAll(0.02)).toEqual({ kept: 0.02, disturbed: [] });
  });

  it("is measured again, and what was disturbed is told", async () => {
    expect(await measureAll(0.03, 0.01)).toEqual({ kept: 0.01, disturbed: [0.03] });
  });

  it("is measured three times at most, and of those the least disturbed is kept", async () => {
    expect(await measureAll(0.05, 0.03, 0.04)).toEqual({ kept: 0.03, disturbed: [0.05, 0.04] });
    expect(await measureAll(0.05, 0.04, 0.001)).toEqual({ kept: 0.001, disturbed: [0.05, 0.04] });
  });
});

import { expect, it } from "vitest";
import { sharesBetween, ticksOf } from "../../bench/stage/processor-shares.ts";

it("tells what was idle and what was stolen of the time of all processors", () => {
  const before = ticksOf("cpu  1000 5 200 3000 40 1 9 50 600 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n");
  // 100 at work, 60 idle and 20 waiting for the disk, 20 stolen. What guests had counts as user time already.
  const after = ticksOf("cpu  1070 5 225 3060 60 2 13 70 670 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n");
  expect(sharesBetween(before, after)).toEqual({ idle: 0.4, stolen: 0.1 });
});

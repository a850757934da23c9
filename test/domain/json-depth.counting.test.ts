import { expect, it } from "vitest";
import { isNestedDeeper } from "../../src/domain/json-depth.ts";

const arrays = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

it.each([
  [arrays(64), 64, false],
  [arrays(65), 64, true],
  [`${'{"a":['.repeat(33)}1${"]}".repeat(33)}`, 64, true],
  [`[${Array.from({ length: 200 }, () => "[]").join(",")}]`, 2, false],
  [`["${"[".repeat(500)}\\"${"{".repeat(500)}"]`, 1, false],
  [arrays(100_000), 64, true],
  ["1", 0, false],
])("%s is nested deeper than %d: %s", (json, depth, expected) => {
  expect(isNestedDeeper(json, depth)).toBe(expected);
});

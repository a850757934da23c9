import fc from "fast-check";
import { expect, it } from "vitest";
import { findUnstorableValue } from "../../src/dialects/unstorable-value.ts";

it.each([
  [{ a: { b: ["x", "\0"] } }, "a.b[1]", "U+0000"],
  [{ a: "\ud800" }, "a", "surrogate"],
  [{ a: { "\0": 1 } }, "a", "U+0000"],
  [["\udc00"], "[0]", "surrogate"],
  ["\0", "", "U+0000"],
  [{ first: "\0", second: "\0" }, "first", "U+0000"],
])("%j cannot be stored because of %s", (value, field, message) => {
  expect(findUnstorableValue(value)).toMatchObject({
    field,
    missing: false,
    message: expect.stringContaining(message),
  });
});

it("what is nested deeper than 64 levels is refused, however deep, and what is nested less is not", () => {
  const nested = (depth: number): unknown => JSON.parse("[".repeat(depth) + "]".repeat(depth));
  expect(findUnstorableValue(nested(65))).toBeUndefined();
  expect(findUnstorableValue(nested(66))?.message).toContain("64 levels");
  expect(findUnstorableValue({ a: nested(100_000) })?.message).toContain("64 levels");
});

it("every other JSON value can be stored", () => {
  const text = fc.string({ unit: "grapheme" }).filter((value) => !value.includes("\0"));
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 5 }, text, fc.double(), fc.boolean(), fc.constant(null), tie("list"), tie("object")),
    list: fc.array(tie("value"), { maxLength: 5 }),
    object: fc.dictionary(text, tie("value"), { maxKeys: 5 }),
  }));
  fc.assert(fc.property(value, (storable) => findUnstorableValue(storable) === undefined));
});

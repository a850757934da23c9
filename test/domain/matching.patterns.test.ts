import { describe, expect, test } from "vitest";
import { createTypeIndex } from "../../src/domain/matching.ts";

const cases: [pattern: string, eventType: string, matches: boolean][] = [
  ["invoice.paid", "invoice.paid", true],
  ["invoice.paid", "invoice.paid.late", false],
  ["invoice.paid", "invoice", false],
  ["invoice.*", "invoice.paid", true],
  ["invoice.*", "invoice.item.paid", true],
  ["invoice.*", "invoice", false],
  ["invoice.*", "invoices.paid", false],
  ["invoice.item.*", "invoice.item.paid", true],
  ["invoice.item.*", "invoice.paid", false],
  ["*", "invoice.paid", true],
  ["*", "ping", true],
  ["Invoice.paid", "invoice.paid", false],
];

describe("event type patterns", () => {
  test.each(cases)("%s and the event type %s: %s", (pattern, eventType, matches) => {
    const index = createTypeIndex([{ eventTypes: [pattern], subscription: "it" }]);
    expect(index.match(eventType)).toEqual(matches ? ["it"] : []);
  });

  test("a subscription with several matching patterns is found once", () => {
    const index = createTypeIndex([{ eventTypes: ["*", "a.*", "a.b", "a.b"], subscription: "it" }]);
    expect(index.match("a.b")).toEqual(["it"]);
  });

  test("every matching subscription is found, and no other", () => {
    const index = createTypeIndex([
      { eventTypes: ["a.b"], subscription: 1 },
      { eventTypes: ["a.*"], subscription: 2 },
      { eventTypes: ["b.*"], subscription: 3 },
      { eventTypes: ["*"], subscription: 4 },
    ]);
    expect(index.match("a.b").sort()).toEqual([1, 2, 4]);
  });
});

import { describe, expect, test } from "vitest";
import { createTypeIndex, matchTypes, type TypeSubscriber } from "../../src/domain/matching.ts";
import { OPERATIONAL_EVENT_TYPES } from "../../src/domain/operational-event.ts";

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
    expectMatch([{ eventTypes: [pattern] }], eventType, matches ? [0] : []);
  });

  test("a subscription with several matching patterns is found once", () => {
    expectMatch([{ eventTypes: ["*", "a.*", "a.b", "a.b"] }], "a.b", [0]);
  });

  test("every matching subscription is found, and no other", () => {
    const subscribers = [["a.b"], ["a.*"], ["b.*"], ["*"]].map((eventTypes) => ({ eventTypes }));
    expectMatch(subscribers, "a.b", [0, 1, 3]);
  });

  test.each(OPERATIONAL_EVENT_TYPES)("%s is about Tellwire itself: only a pattern that names it matches", (type) => {
    const [group] = type.split(".");
    const subscribers = [["*"], [type], [`${group}.*`], ["*", `${group}.*`]].map((eventTypes) => ({ eventTypes }));
    expectMatch(subscribers, type, [1, 2, 3]);
    expectMatch(subscribers, `${type}.not`, [0, 2, 3]);
  });
});

/** The index, and looking through a few, find the same. */
function expectMatch(subscribers: TypeSubscriber[], eventType: string, expected: number[]): void {
  for (const found of [createTypeIndex(subscribers)(eventType), matchTypes(subscribers, eventType)]) {
    const places = found.map((subscriber) => subscribers.indexOf(subscriber));
    expect(places.toSorted()).toEqual(expected);
  }
}

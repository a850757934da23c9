import { expect, test } from "vitest";
import { parseEventSubject, rejectedSubject, subjectCovers } from "../../src/broker/subjects.ts";

test.each([
  ["tellwire.events.>", "tellwire.events.>", true],
  [">", "tellwire.events.>", true],
  ["tellwire.>", "tellwire.events.>", true],
  ["*.events.>", "tellwire.events.>", true],
  ["*.*.>", "tellwire.events.>", true],
  ["tellwire.events.*", "tellwire.events.>", false],
  ["tellwire.events", "tellwire.events.>", false],
  ["tellwire.events.org.>", "tellwire.events.>", false],
  ["other.events.>", "tellwire.events.>", false],
  ["tellwire.*", "tellwire.events", true],
  ["tellwire.events", "tellwire.*", false],
  ["tellwire.events.>", "tellwire.events", false],
])("whether %s covers all of %s: %s", (pattern, subject, covers) => {
  expect(subjectCovers(pattern, subject)).toBe(covers);
});

test("the event type is the rest of the subject, with its dots", () => {
  expect(parseEventSubject("tellwire", "tellwire.events.org.a.b.c")).toEqual({ organization: "org", type: "a.b.c" });
});

test("a rejected message goes where its own subject says, below `rejected`", () => {
  expect(rejectedSubject("tellwire", "tellwire.events.org.a")).toBe("tellwire.rejected.events.org.a");
  expect(rejectedSubject("tellwire", "orders")).toBe("tellwire.rejected.orders");
});

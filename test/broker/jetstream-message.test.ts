import { expect, test } from "vitest";
import { parseAckSubject, waitingBehind } from "../../src/broker/jetstream-message.ts";
import { heapGrowth } from "../support/heap-growth.ts";

const expected = {
  place: "EVENTS:12",
  sequence: 12,
  deliveryCount: 3,
  publishedAt: new Date("2026-11-21T22:19:46.089Z"),
};

test.each([
  ["of servers up to 2.9", "$JS.ACK.EVENTS.dispatcher.3.12.9.1795299586089437138.42"],
  ["with a domain and an account", "$JS.ACK.hub.ABCDEF.EVENTS.dispatcher.3.12.9.1795299586089437138.42.r4nd0m"],
  ["without a domain, of newer servers", "$JS.ACK._.ABCDEF.EVENTS.dispatcher.3.12.9.1795299586089437138.42"],
])("the reply subject %s says which message it is, and how many wait behind it", (_, subject) => {
  expect(parseAckSubject(subject)).toEqual(expected);
  expect(waitingBehind(subject)).toBe(42);
});

test("another reply subject is an error that shows it", () => {
  expect(() => parseAckSubject("_INBOX.abc")).toThrow("_INBOX.abc");
});

test("what is read of reply subjects is collected while it is young", async () => {
  const read = (number: number) => {
    // Of small numbers, so that no large one becomes a text here.
    const sequence = `7${100 + Math.floor(number / 500)}${100 + (number % 500)}`;
    return parseAckSubject(`$JS.ACK.EVENTS.dispatcher.1.${sequence}.${sequence}.1795299586089437138.0`).place;
  };
  expect(read(0)).toBe("EVENTS:7100100");
  for (let number = 0; number < 1_000; number++) read(number);
  expect(await heapGrowth(50_000, read)).toBeLessThan(500_000);
});

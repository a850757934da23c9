import { expect, test } from "vitest";
import { parseAckSubject } from "../../src/broker/jetstream-message.ts";

const expected = {
  stream: "EVENTS",
  sequence: 12,
  deliveryCount: 3,
  publishedAt: new Date("2026-11-21T22:19:46.089Z"),
};

test.each([
  ["of servers up to 2.9", "$JS.ACK.EVENTS.dispatcher.3.12.9.1795299586089437138.0"],
  ["with a domain and an account", "$JS.ACK.hub.ABCDEF.EVENTS.dispatcher.3.12.9.1795299586089437138.0.r4nd0m"],
  ["without a domain, of newer servers", "$JS.ACK._.ABCDEF.EVENTS.dispatcher.3.12.9.1795299586089437138.0"],
])("the reply subject %s says which message it is", (_, subject) => {
  expect(parseAckSubject(subject)).toEqual(expected);
});

test("another reply subject is an error that shows it", () => {
  expect(() => parseAckSubject("_INBOX.abc")).toThrow("_INBOX.abc");
});

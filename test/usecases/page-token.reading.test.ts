import fc from "fast-check";
import { expect, it } from "vitest";
import { decodePageToken, encodePageToken } from "../../src/usecases/page-token.ts";

const id = "019a7b1e-0000-7000-8000-000000000001";

it("a token gives back where a page ended, for the same filters", () => {
  const filters = { list: "event", type: "a" };
  for (const cursor of [{ id }, { id, micros: 1_767_225_600_000_123 }, { id, micros: 0 }]) {
    expect(decodePageToken(filters, encodePageToken(filters, cursor))).toEqual(cursor);
  }
  expect(decodePageToken(filters, "")).toBeUndefined();
});

it("a token with other filters is refused", () => {
  const token = encodePageToken({ list: "event", type: "a" }, { id });
  expect(() => decodePageToken({ list: "event", type: "b" }, token)).toThrow(/other filters/);
});

it("a token fits into the contract's 256 characters", () => {
  expect(encodePageToken({ x: "y".repeat(1000) }, { id, micros: Number.MAX_SAFE_INTEGER }).length).toBeLessThan(128);
});

it("whatever else is sent as a token is INVALID_PAGE_TOKEN, and never another error", () => {
  const decode = (token: string) => () => decodePageToken({ list: "event" }, token);
  const invalid = expect.objectContaining({ reason: "INVALID_PAGE_TOKEN" });
  const json = fc.json().map((text) => Buffer.from(text).toString("base64url"));
  fc.assert(
    fc.property(fc.oneof(fc.string({ minLength: 1 }), json), (token) => {
      expect(decode(token)).toThrow(invalid);
    }),
  );
  const sql = Buffer.from(JSON.stringify(["x", "' or 1=1", null])).toString("base64url");
  expect(decode(sql)).toThrow(invalid);
});

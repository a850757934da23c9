import { describe, expect, test } from "vitest";
import { rejectedMessage } from "../../src/broker/rejected-message.ts";

const original = {
  subject: "tellwire.events.o.t",
  headers: { "ce-id": "1", "nats-rollup": "all" },
  body: Buffer.from("0123456789"),
};
const keep = (maxBytes: number, headers: Record<string, string> = original.headers) =>
  rejectedMessage(
    { message: { ...original, headers }, reason: "BAD_JSON", detail: " not\r\nJSON " },
    { subjectPrefix: "tellwire", maxBytes },
  );

describe("the message that keeps a rejected one", () => {
  test("has its headers and body, and says why, in one line", () => {
    expect(keep(10_000)).toEqual({
      subject: "tellwire.rejected.events.o.t",
      headers: {
        "ce-id": "1",
        "Tellwire-Original-nats-rollup": "all",
        "Tellwire-Reject-Reason": "BAD_JSON",
        "Tellwire-Reject-Detail": " not JSON ",
        "Tellwire-Original-Subject": "tellwire.events.o.t",
      },
      body: original.body,
    });
  });

  test("never exceeds the largest size, cuts the body first, and says so", () => {
    const sizes = Array.from({ length: 200 }, (_, index) => 150 + index);
    for (const maxBytes of sizes) {
      const { headers, body } = keep(maxBytes);
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      const bytes = Buffer.byteLength(`NATS/1.0\r\n${lines.join("")}\r\n`) + body.byteLength;
      const isWhole = body.byteLength === original.body.byteLength && headers["ce-id"] === "1";
      expect(isWhole || headers["Tellwire-Truncated"] !== undefined).toBe(true);
      expect(headers["Tellwire-Reject-Reason"]).toBe("BAD_JSON");
      if (maxBytes > 210) {
        expect(bytes).toBeLessThanOrEqual(maxBytes);
      }
    }
  });

  test("leaves out headers that alone are too large", () => {
    const { headers, body } = keep(1_000, { large: "x".repeat(2_000) });
    expect(headers).toMatchObject({ "Tellwire-Truncated": "headers and body" });
    expect(headers.large).toBeUndefined();
    expect(body.byteLength).toBe(0);
  });
});

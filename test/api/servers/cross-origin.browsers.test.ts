import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../../support/tellwire.ts";

const origin = "https://app.example.com";
let tellwire: TellwireProcess;

beforeAll(async () => {
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_CORS_ORIGINS: origin }));
});
afterAll(() => tellwire?.stop());

const paths = [
  "/v1/webhooks",
  "/tellwire.v1.WebhookService/ListWebhooks",
  "/v2/webhooks",
  "/v1/webhook-endpoints",
  "/openapi.json",
];

describe("a page of an origin that is allowed", () => {
  test.each(paths)("may ask beforehand, and is told what it may send to %s", async (path) => {
    const response = await fetch(`${tellwire.httpUrl}${path}`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
    expect(response.headers.get("access-control-allow-headers")).toBe("authorization,content-type");
    expect(response.headers.get("access-control-allow-methods")).toContain("POST");
  });

  test.each(paths)("may read the answer of %s, an error too", async (path) => {
    const response = await fetch(`${tellwire.httpUrl}${path}`, { headers: { origin } });
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
    expect(response.headers.get("vary")).toContain("origin");
  });
});

test("a page of another origin is given nothing", async () => {
  const response = await fetch(`${tellwire.httpUrl}/v1/webhooks`, { headers: { origin: "https://evil.example" } });
  expect(response.headers.get("access-control-allow-origin")).toBeNull();
});

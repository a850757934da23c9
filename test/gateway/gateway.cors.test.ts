import { afterEach, describe, expect, test } from "vitest";
import type { CorsOptions } from "../../src/gateway/cors.ts";
import { type FixtureGateway, startFixtureGateway } from "./fixture-gateway.ts";

const origin = "https://app.example";
let gateway: FixtureGateway | undefined;
afterEach(() => gateway?.close());

async function start(cors?: CorsOptions): Promise<string> {
  gateway = await startFixtureGateway(cors === undefined ? {} : { gateway: { cors } });
  return gateway.url;
}

function corsHeaders(response: Response): Record<string, string> {
  return Object.fromEntries([...response.headers].filter(([name]) => name.startsWith("access-control-")));
}

test("without the option no page of another origin is let in", async () => {
  const url = await start();
  const response = await fetch(`${url}/v1/query`, { headers: { origin } });
  expect(corsHeaders(response)).toEqual({});
  expect(response.headers.get("vary")).toBeNull();
});

describe("a preflight", () => {
  const headers = { origin, "access-control-request-method": "PATCH", "access-control-request-headers": "x-api-key" };

  test("is answered with the methods of the path and the headers that are asked for", async () => {
    const url = await start({ allowedOrigins: [origin] });
    const response = await fetch(`${url}/v1/things/x`, { method: "OPTIONS", headers });
    expect(response.status).toBe(204);
    expect(corsHeaders(response)).toEqual({
      "access-control-allow-origin": origin,
      "access-control-allow-methods": "GET, HEAD, OPTIONS, PATCH",
      "access-control-allow-headers": "x-api-key",
      "access-control-max-age": "7200",
    });
    expect(response.headers.get("vary")).toBe("origin, access-control-request-headers");
  });

  test("of another origin gets no headers", async () => {
    const url = await start({ allowedOrigins: ["https://other.example"] });
    const response = await fetch(`${url}/v1/things/x`, { method: "OPTIONS", headers });
    expect(corsHeaders(response)).toEqual({});
    expect(response.headers.get("vary")).toBe("origin");
  });
});

test("answers and errors carry the headers for a page", async () => {
  const url = await start({ allowedOrigins: "*", exposedHeaders: ["x-answer"] });
  for (const path of ["/v1/query", "/v1/act/not-found", "/nope", "/v1/watch?count=1"]) {
    const response = await fetch(url + path, { headers: { origin } });
    expect(corsHeaders(response)).toEqual({
      "access-control-allow-origin": "*",
      "access-control-expose-headers": "x-answer",
    });
    await response.text();
  }
});

test("with credentials any origin is named, never *", async () => {
  const url = await start({ allowedOrigins: "*", allowCredentials: true });
  const response = await fetch(`${url}/v1/query`, { headers: { origin } });
  expect(corsHeaders(response)).toEqual({
    "access-control-allow-origin": origin,
    "access-control-allow-credentials": "true",
  });
  expect(response.headers.get("vary")).toBe("origin");
});

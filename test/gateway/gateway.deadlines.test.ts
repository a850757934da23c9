import { once } from "node:events";
import http from "node:http";
import { Code, type ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GatewayError } from "../../src/gateway/gateway-error.ts";
import { readTimeoutMs } from "../../src/gateway/request-timeout.ts";
import { waitFor } from "../support/wait-for.ts";
import { errorDomain, type FixtureGateway, startFixtureGateway } from "./fixture-gateway.ts";

let gateway: FixtureGateway;
beforeAll(async () => {
  gateway = await startFixtureGateway({ gateway: { maxTimeoutMs: 60_000 } });
});
afterAll(() => gateway.close());

const read = (headers: Record<string, string>, max = 1e12) => readTimeoutMs((name) => headers[name], max);

describe("the deadline of a request", () => {
  test.each([
    [{}, undefined],
    [{ "grpc-timeout": "2H" }, 7_200_000],
    [{ "grpc-timeout": "2M" }, 120_000],
    [{ "grpc-timeout": "2S" }, 2000],
    [{ "grpc-timeout": "2m" }, 2],
    [{ "grpc-timeout": "2000u" }, 2],
    [{ "grpc-timeout": "2000000n" }, 2],
    [{ "connect-timeout-ms": "1500" }, 1500],
    [{ "x-server-timeout": "1.5" }, 1500],
    [{ "x-server-timeout": "2", "connect-timeout-ms": "1500", "grpc-timeout": "1S" }, 1000],
    [{ "connect-timeout-ms": "0" }, 0],
  ])("%o is %s ms", (headers, expected) => {
    expect(read(headers)).toBe(expected);
  });

  test.each([
    [{ "grpc-timeout": "2" }, "grpc-timeout"],
    [{ "grpc-timeout": "123456789S" }, "grpc-timeout"],
    [{ "grpc-timeout": "-1S" }, "grpc-timeout"],
    [{ "connect-timeout-ms": "1.5" }, "connect-timeout-ms"],
    [{ "connect-timeout-ms": "" }, "connect-timeout-ms"],
    [{ "x-server-timeout": "1s" }, "x-server-timeout"],
    [{ "x-server-timeout": "Infinity" }, "x-server-timeout"],
    [{ "x-server-timeout": "61" }, "the most is 60000"],
  ])("%o is refused, naming the header", (headers, problem) => {
    expect(() => read(headers, 60_000)).toThrow(GatewayError);
    expect(() => read(headers, 60_000)).toThrow(problem);
  });
});

test.each([
  ["slow", { "grpc-timeout": "50m" }],
  ["slow", { "connect-timeout-ms": "50" }],
  ["deaf", { "x-server-timeout": "0.05" }],
  ["slow", { "connect-timeout-ms": "0" }],
])("a method that is %s is answered with 504 when %o has passed", async (name, headers) => {
  const response = await fetch(`${gateway.url}/v1/act/${name}`, { headers });
  expect(response.status).toBe(504);
  expect(await response.json()).toEqual({
    error: {
      code: 504,
      status: "DEADLINE_EXCEEDED",
      message: "the deadline of the request passed",
      details: [
        { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "DEADLINE_EXCEEDED", domain: errorDomain },
      ],
    },
  });
});

test("the method knows how long it has, and its signal is aborted with the reason", async () => {
  await fetch(`${gateway.url}/v1/act/slow`, { headers: { "grpc-timeout": "100m" } });
  const call = gateway.calls.at(-1);
  expect(call?.context.timeoutMs()).toBeLessThan(100);
  const reason = await call?.finished;
  expect((reason as ConnectError).code).toBe(Code.DeadlineExceeded);
});

test("the deadline holds for a body that does not come", async () => {
  const request = http.request(`${gateway.url}/v1/body`, { method: "POST", agent: false });
  request.setHeader("connect-timeout-ms", "50");
  request.setHeader("content-length", "1000");
  request.write("{");
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  expect(response.statusCode).toBe(504);
  request.on("error", () => undefined);
  request.destroy();
  await gateway.allHandled();
});

test("the deadline holds in the midst of a stream, as its last line", async () => {
  const response = await fetch(`${gateway.url}/v1/watch?count=100000000`, { headers: { "grpc-timeout": "50m" } });
  expect(response.status).toBe(200);
  const last = (await response.text()).trimEnd().split("\n").at(-1) ?? "";
  expect(JSON.parse(last)).toMatchObject({ error: { code: 504, status: "DEADLINE_EXCEEDED" } });
});

test("an unreadable timeout is 400, before the method is called", async () => {
  const calls = gateway.calls.length;
  const response = await fetch(`${gateway.url}/v1/act/x`, { headers: { "grpc-timeout": "soon" } });
  expect(response.status).toBe(400);
  expect(await response.text()).toContain("INVALID_TIMEOUT");
  expect(gateway.calls).toHaveLength(calls);
});

test("when the client goes away the method's signal is aborted as cancelled", async () => {
  const abort = new AbortController();
  const calls = gateway.calls.length;
  const answer = fetch(`${gateway.url}/v1/act/slow`, { signal: abort.signal });
  await waitFor(() => gateway.calls.length === calls + 1, { what: "the call" });
  abort.abort();
  await expect(answer).rejects.toThrow("aborted");
  const reason = await gateway.calls.at(-1)?.finished;
  expect((reason as ConnectError).code).toBe(Code.Canceled);
  await gateway.allHandled();
  expect(gateway.internalErrors).toEqual([]);
});

test("a client that goes away in the midst of its body harms nothing", async () => {
  const request = http.request(`${gateway.url}/v1/body`, { method: "POST", agent: false });
  request.setHeader("content-length", "1000");
  request.write("{", () => request.destroy());
  await expect(once(request, "response")).rejects.toThrow("socket hang up");
  await gateway.allHandled();
  expect(gateway.internalErrors).toEqual([]);
  expect((await fetch(`${gateway.url}/v1/query`)).status).toBe(200);
});

import zlib from "node:zlib";
import type { Interceptor } from "@connectrpc/connect";
import { createContextKey } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FixtureGateway, startFixtureGateway } from "./fixture-gateway.ts";

const key = createContextKey("nobody");
const interceptor: Interceptor = (next) => async (request) => {
  request.contextValues.set(key, request.header.get("x-who") ?? "nobody");
  const response = await next(request);
  response.header.set("x-intercepted", `${request.method.name} ${request.requestMethod} ${request.url}`);
  return response;
};

let gateway: FixtureGateway;
beforeAll(async () => {
  gateway = await startFixtureGateway({ interceptors: [interceptor] });
});
afterAll(() => gateway.close());

function send(method: string, path: string, body?: string): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return fetch(gateway.url + path, body === undefined ? { method } : { method, body, headers });
}

test("an answer is protobuf JSON in JSON names, without the fields that have their default", async () => {
  const response = await send("GET", "/v1/query?string_value=x&int64Value=1&color=1&boolValue=false");
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/json");
  const text = await response.text();
  expect(response.headers.get("content-length")).toBe(String(text.length));
  expect(text).toBe('{"stringValue":"x","int64Value":"1","color":"COLOR_RED"}');
});

describe("response_body shows one field", () => {
  test.each([
    ["POST", "/v1/parts/tags", '["a"]', ["a"]],
    ["POST", "/v1/parts/tags", undefined, []],
    ["POST", "/v1/parts/note", '"x"', "x"],
    ["POST", "/v1/parts/note", undefined, ""],
    ["POST", "/v1/parts/labels", '{"a":1}', { a: 1 }],
    ["POST", "/v1/parts/labels", undefined, {}],
    ["POST", "/v1/parts/time", '"2026-01-31T12:00:00Z"', "2026-01-31T12:00:00Z"],
    ["POST", "/v1/parts/time", undefined, null],
    ["POST", "/v1/parts/things", '[{"id":"a"},{}]', [{ id: "a" }, {}]],
    ["POST", "/v1/parts/data", '{"a":[1]}', { a: [1] }],
    ["GET", "/v1/things/x", undefined, { id: "x" }],
  ])("%s %s %s", async (method, path, body, expected) => {
    const response = await send(method, path, body);
    expect(await response.json()).toEqual(expected);
    expect(response.status).toBe(200);
  });
});

describe("google.api.HttpBody is raw bytes with their content type, both ways", () => {
  const bytes = Uint8Array.from([0, 255, 10, 123]);

  test("as the whole message", async () => {
    const response = await fetch(`${gateway.url}/v1/raw`, {
      method: "POST",
      body: bytes,
      headers: { "content-type": "image/png" },
    });
    expect(response.headers.get("content-type")).toBe("image/png");
    expect(await response.bytes()).toEqual(bytes);
  });

  test("as one field", async () => {
    const response = await fetch(`${gateway.url}/v1/uploads/a%2Fb`, {
      method: "PUT",
      body: bytes,
      headers: { "content-type": "text/csv;charset=latin1", accept: "text/csv" },
    });
    expect(response.headers.get("content-type")).toBe("text/csv;charset=latin1");
    expect(await response.bytes()).toEqual(bytes);
    expect(gateway.calls.at(-1)?.message).toMatchObject({ name: "a/b" });
  });

  test("and without a content type they are octets", async () => {
    const response = await fetch(`${gateway.url}/v1/raw`, { method: "POST", body: bytes });
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
  });
});

describe("metadata goes both ways, through the interceptors", () => {
  test("headers of the request reach them and the method; theirs reach the client", async () => {
    const response = await fetch(`${gateway.url}/v1/act/headers?pageSize=1`, {
      headers: { "x-question": "why", "x-who": "somebody" },
    });
    expect(response.headers.get("x-answer")).toBe("why");
    expect(response.headers.get("trailer-x-cost")).toBe("7");
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(response.headers.get("vary")).toBe("x-question");
    expect(response.headers.get("x-intercepted")).toBe(`Act GET ${gateway.url}/v1/act/headers?pageSize=1`);
    expect(await response.json()).toEqual({ name: "headers", pageSize: 1 });
    const context = gateway.calls.at(-1)?.context;
    expect(context?.values.get(key)).toBe("somebody");
    expect(context?.protocolName).toBe("rest");
    expect(context?.method.name).toBe("Act");
    expect(context?.timeoutMs()).toBeUndefined();
  });
});

describe("HEAD and OPTIONS", () => {
  test("a HEAD has the headers of the GET and no body", async () => {
    const get = await send("GET", "/v1/query?stringValue=x");
    const head = await send("HEAD", "/v1/query?stringValue=x");
    expect(head.status).toBe(200);
    expect(head.headers.get("content-length")).toBe(get.headers.get("content-length"));
    expect(await head.text()).toBe("");
    expect(gateway.calls.at(-1)?.context.requestMethod).toBe("HEAD");
  });

  test("a HEAD that fails has its status and no body", async () => {
    const head = await send("HEAD", "/v1/act/not-found");
    expect(head.status).toBe(404);
    expect(await head.text()).toBe("");
  });

  test.each([
    ["/v1/body", "OPTIONS, POST"],
    ["/v1/things/x", "GET, HEAD, OPTIONS, PATCH"],
    ["/v1/things/x:cancel", "OPTIONS, POST"],
  ])("OPTIONS %s names the methods", async (path, allow) => {
    const response = await send("OPTIONS", path);
    expect(response.status).toBe(204);
    expect(response.headers.get("allow")).toBe(allow);
  });

  test("OPTIONS of what is not there is 404, and a rule for any method gets its OPTIONS", async () => {
    expect((await send("OPTIONS", "/nope")).status).toBe(404);
    expect(await (await send("OPTIONS", "/v1/any/x")).json()).toEqual({ name: "x" });
  });
});

describe("compression", () => {
  const long = "x".repeat(5000);

  test.each([
    ["gzip", zlib.gzipSync],
    ["br", zlib.brotliCompressSync],
    ["identity", Buffer.from],
  ])("a request in %s is read", async (coding, compress) => {
    const response = await fetch(`${gateway.url}/v1/body`, {
      method: "POST",
      body: Buffer.from(compress(Buffer.from(JSON.stringify({ stringValue: long })))),
      headers: { "content-encoding": coding, "content-type": "application/json;charset=UTF-8" },
    });
    expect(await response.json()).toEqual({ stringValue: long });
  });

  test.each([
    ["gzip", "gzip"],
    ["br", "br"],
    ["gzip, deflate, br", "gzip"],
    ["gzip;q=0.5, br", "br"],
    ["*", "gzip"],
    ["gzip;q=0", null],
    ["identity", null],
    ["deflate", null],
  ])("a long answer for Accept-Encoding: %s", async (accept, coding) => {
    const response = await fetch(`${gateway.url}/v1/query?stringValue=${long}`, {
      headers: { "accept-encoding": accept },
    });
    expect(response.headers.get("content-encoding")).toBe(coding);
    expect(response.headers.get("vary")).toBe("accept-encoding");
    expect(await response.json()).toEqual({ stringValue: long });
  });

  test("a short answer is sent as it is", async () => {
    const response = await fetch(`${gateway.url}/v1/query`, { headers: { "accept-encoding": "gzip" } });
    expect(response.headers.get("content-encoding")).toBeNull();
  });
});

test("matches says which targets have a route, of any method", async () => {
  const { createGateway } = await import("../../src/gateway/gateway.ts");
  const { fixtureService } = await import("./fixture.ts");
  const unreachable = () => Promise.reject(new Error("not called"));
  const caller = { admit: unreachable, unary: unreachable, serverStream: unreachable };
  const { matches } = createGateway({ services: [fixtureService], caller, maxBodyBytes: 1, errorDomain: "x" });
  expect(matches("/v1/body?x=1")).toBe(true);
  expect(matches("/v1/query")).toBe(true);
  expect(matches("/v1/%zz")).toBe(true);
  expect(matches("/fixture.v1.FixtureService/Query")).toBe(false);
});

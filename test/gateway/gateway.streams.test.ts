import { once } from "node:events";
import http from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chooseStreamFormat } from "../../src/gateway/respond-stream.ts";
import { type FixtureGateway, startFixtureGateway } from "./fixture-gateway.ts";

let gateway: FixtureGateway;
beforeAll(async () => {
  gateway = await startFixtureGateway();
});
afterAll(() => gateway.close());

function get(path: string, accept = "*/*"): Promise<Response> {
  return fetch(gateway.url + path, { headers: { accept } });
}

test("a stream is one JSON object a line", async () => {
  const response = await get("/v1/watch?count=3");
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  expect(response.headers.get("x-stream")).toBe("yes");
  expect(await response.text()).toBe(
    '{"text":"line\\n0"}\n{"index":1,"text":"line\\n1"}\n{"index":2,"text":"line\\n2"}\n',
  );
});

test("a stream without messages is an empty answer", async () => {
  const response = await get("/v1/watch");
  expect(response.status).toBe(200);
  expect(await response.text()).toBe("");
});

test("a client that accepts server-sent events gets those", async () => {
  const response = await get("/v1/watch?count=2", "text/event-stream");
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(response.headers.get("cache-control")).toBe("no-store");
  expect(await response.text()).toBe('data: {"text":"line\\n0"}\n\ndata: {"index":1,"text":"line\\n1"}\n\n');
});

test.each([
  [undefined, "ndjson"],
  ["*/*", "ndjson"],
  ["application/json", "ndjson"],
  ["application/x-ndjson", "ndjson"],
  ["text/event-stream", "sse"],
  ["text/event-stream, */*", "sse"],
  ["text/event-stream, application/json", "sse"],
  ["text/event-stream;q=0.5, application/json", "ndjson"],
  ["text/*", "sse"],
  ["text/html", undefined],
  ["text/event-stream;q=0", undefined],
])("Accept: %s is %s", (accept, format) => {
  expect(chooseStreamFormat(accept)).toBe(format);
});

test("a client that accepts neither gets 406", async () => {
  expect((await get("/v1/watch", "text/html")).status).toBe(406);
});

describe("errors of a stream", () => {
  test("before its first message it has its own status", async () => {
    const response = await get("/v1/watch?count=3&failAfter=0");
    expect(response.status).toBe(404);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toMatchObject({ error: { code: 404, message: "no such book" } });
  });

  test("after it, it is the last line", async () => {
    const response = await get("/v1/watch?count=3&failAfter=1");
    expect(response.status).toBe(200);
    const [first, second = "", ...rest] = (await response.text()).split("\n");
    expect(first).toBe('{"text":"line\\n0"}');
    expect(JSON.parse(second)).toMatchObject({ error: { code: 404, status: "NOT_FOUND", message: "no such book" } });
    expect(rest).toEqual([""]);
  });

  test("among events it is an event of its own kind", async () => {
    const events = (await (await get("/v1/watch?count=3&failAfter=1", "text/event-stream")).text()).split("\n\n");
    expect(events).toHaveLength(3);
    expect(events[1]).toMatch(/^event: error\ndata: \{"error":\{"code":404,/);
  });

  test("what is no ConnectError says nothing, and is made known to the operator", async () => {
    const text = await (await get("/v1/watch?count=1&failAfter=1")).text();
    expect(text).toContain('"message":"internal error"');
    expect(text).not.toContain("secret");
    expect((gateway.internalErrors.at(-1) as ConnectError).cause).toEqual(new Error("a secret of the stream"));
  });
});

describe("a stream of google.api.HttpBody is its bytes, one after the other", () => {
  test("with the content type of the first", async () => {
    const response = await get("/v1/download?count=3", "text/plain");
    expect(response.headers.get("content-type")).toBe("text/plain");
    expect(await response.text()).toBe("part 0;part 1;part 2;");
  });

  test("and an error in its midst breaks the connection off, so that what came is not taken for all", async () => {
    const whole = get("/v1/download?count=3&failAfter=1").then((response) => response.text());
    await expect(whole).rejects.toThrow(TypeError);
  });
});

test("trailers follow the last message", async () => {
  const request = http.get(`${gateway.url}/v1/watch?count=2`, { headers: { te: "trailers" }, agent: false });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  await response.toArray();
  expect(response.trailers["x-total"]).toBe("2");
});

test("a HEAD of a stream has its headers, and ends the call", async () => {
  const response = await fetch(`${gateway.url}/v1/watch?count=1000000`, { method: "HEAD" });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  await gateway.calls.at(-1)?.finished;
  await gateway.allHandled();
  expect(gateway.calls.at(-1)?.context.signal.aborted).toBe(true);
});

test("a client that goes away ends the stream and runs the finally of its generator", async () => {
  const abort = new AbortController();
  const response = await fetch(`${gateway.url}/v1/watch?count=100000000`, { signal: abort.signal });
  const reader = response.body!.getReader();
  await reader.read();
  abort.abort();
  const reason = await gateway.calls.at(-1)?.finished;
  expect(reason).toBeInstanceOf(ConnectError);
  expect((reason as ConnectError).code).toBe(Code.Canceled);
  await gateway.allHandled();
});

test("a client that does not read holds the stream up", async () => {
  const request = http.get(`${gateway.url}/v1/watch?count=100000000`, { agent: false });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  response.pause();
  const call = gateway.calls.at(-1)!;
  // The buffers on the way fill, and then no further message is made.
  let before = -1;
  const stands = () => {
    const stood = call.produced === before;
    before = call.produced;
    return stood;
  };
  await expect.poll(stands, { interval: 100, timeout: 60_000 }).toBe(true);
  expect(call.produced).toBeLessThan(1_000_000);
  request.destroy();
  await gateway.allHandled();
});

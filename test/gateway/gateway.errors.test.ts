import { once } from "node:events";
import http from "node:http";
import zlib from "node:zlib";
import { ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorDomain, type FixtureGateway, rawRequest, startFixtureGateway } from "./fixture-gateway.ts";

let gateway: FixtureGateway;
beforeAll(async () => {
  gateway = await startFixtureGateway();
});
afterAll(() => gateway.close());

const info = (reason: string) => ({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: errorDomain });

async function errorOf(response: Response): Promise<ErrorBody> {
  expect(response.headers.get("content-type")).toBe("application/json");
  const { error } = (await response.json()) as { error: ErrorBody };
  expect(error.code).toBe(response.status);
  return error;
}

interface ErrorBody {
  code: number;
  status: string;
  message: string;
  details: { "@type": string; reason?: string }[];
}

describe("an error of the method is answered with its status and its typed details", () => {
  test("details, and metadata as headers", async () => {
    const response = await fetch(`${gateway.url}/v1/act/not-found`);
    expect(response.headers.get("x-error")).toBe("yes");
    expect(await errorOf(response)).toEqual({
      code: 404,
      status: "NOT_FOUND",
      message: "no such book",
      details: [
        {
          "@type": "type.googleapis.com/google.rpc.ErrorInfo",
          reason: "BOOK_NOT_FOUND",
          domain: "books.test",
          metadata: { id: "7" },
        },
        {
          "@type": "type.googleapis.com/google.rpc.BadRequest",
          fieldViolations: [{ field: "name", description: "names no book" }],
        },
      ],
    });
  });

  test("a RetryInfo is a Retry-After too, rounded up", async () => {
    const response = await fetch(`${gateway.url}/v1/act/busy`);
    expect(response.headers.get("retry-after")).toBe("3");
    expect(await errorOf(response)).toMatchObject({ code: 503, status: "UNAVAILABLE" });
  });

  test("details that come as bytes are typed where their type is known, and kept where it is not", async () => {
    expect((await errorOf(await fetch(`${gateway.url}/v1/act/wire`))).details).toEqual([
      { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "A" },
      { "@type": "type.googleapis.com/google.rpc.BadRequest", value: "/w==" },
      { "@type": "type.googleapis.com/unknown.Type", value: "AQI=" },
    ]);
  });

  test("what is no ConnectError says nothing, and is made known to the operator", async () => {
    const response = await fetch(`${gateway.url}/v1/act/crash`);
    const error = await errorOf(response);
    expect(error).toMatchObject({ code: 500, status: "INTERNAL", message: "internal error" });
    const told = gateway.internalErrors.at(-1);
    expect(told).toBeInstanceOf(ConnectError);
    expect((told as ConnectError).cause).toEqual(new Error("a secret"));
  });
});

describe("what the gateway itself refuses", () => {
  test.each([
    ["GET", "/nope", 404, "NOT_FOUND", "ROUTE_NOT_FOUND"],
    ["GET", "/v1/things/x/", 404, "NOT_FOUND", "ROUTE_NOT_FOUND"],
    ["GET", "/v1/%zz", 400, "INVALID_ARGUMENT", "MALFORMED_PATH"],
    ["GET", "/v1/files/%ff", 400, "INVALID_ARGUMENT", "MALFORMED_PATH"],
    ["GET", "/v1/query?stringValue=%", 400, "INVALID_ARGUMENT", "MALFORMED_QUERY"],
    ["GET", "/v1/query?nope=1", 400, "INVALID_ARGUMENT", "INVALID_FIELDS"],
    ["DELETE", "/v1/things/x", 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"],
    ["GET", "/v1/things/x:cancel", 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"],
  ])("%s %s is %i", async (method, path, code, status, reason) => {
    const error = await errorOf(await fetch(gateway.url + path, { method }));
    expect(error).toMatchObject({ code, status });
    expect(error.details[0]).toEqual(info(reason));
  });

  test("a 405 names the methods that there are", async () => {
    const response = await fetch(`${gateway.url}/v1/things/x`, { method: "DELETE" });
    expect(response.headers.get("allow")).toBe("GET, HEAD, OPTIONS, PATCH");
    expect((await errorOf(response)).message).toBe(
      "DELETE is not served at /v1/things/x, but GET, HEAD, OPTIONS, PATCH",
    );
  });

  test("bad fields are named in a BadRequest", async () => {
    const response = await fetch(`${gateway.url}/v1/query?nope=1&int32Value=x`);
    expect((await errorOf(response)).details).toEqual([
      info("INVALID_FIELDS"),
      {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        fieldViolations: [
          { field: "nope", description: "is not known, as a query parameter" },
          {
            field: "int32_value",
            description: 'must be an integer from -2147483648 to 2147483647, not "x"',
          },
        ],
      },
    ]);
  });

  test.each([
    ["text/html", 406],
    ["application/json;q=0", 406],
    ["application/json;q=0, */*", 406],
    ["text/html, */*;q=0.1", 200],
    ["application/*", 200],
    ["APPLICATION/JSON", 200],
    ["", 200],
  ])("Accept: %s is %i", async (accept, status) => {
    const calls = gateway.calls.length;
    const response = await fetch(`${gateway.url}/v1/query`, { headers: { accept } });
    expect(response.status).toBe(status);
    if (status === 406) {
      expect((await errorOf(response)).details[0]).toEqual(info("NOT_ACCEPTABLE"));
      expect(gateway.calls).toHaveLength(calls);
    }
  });
});

describe("bodies that are refused", () => {
  async function post(
    body: string | Uint8Array,
    headers: Record<string, string>,
    path = "/v1/body",
  ): Promise<Response> {
    return fetch(gateway.url + path, { method: "POST", body: Buffer.from(body), headers });
  }

  test.each([
    ["application/json", 200],
    ["application/json; charset=utf-8", 200],
    ['application/json;charset="UTF-8"', 200],
    ["application/merge-patch+json", 200],
    ["application/json;charset=latin1", 415],
    ["text/json", 415],
    ["application/x-www-form-urlencoded", 415],
    ["text/plain;charset=UTF-8", 415],
    ["json", 415],
    ["application/json, application/json", 415],
  ])("Content-Type: %s is %i", async (contentType, status) => {
    const response = await post("{}", { "content-type": contentType });
    expect(response.status).toBe(status);
    if (status === 415) expect((await errorOf(response)).details[0]).toEqual(info("UNSUPPORTED_MEDIA_TYPE"));
  });

  test("a body without a Content-Type is taken for JSON, and an empty one needs none", async () => {
    expect((await post('{"stringValue":"x"}', {})).status).toBe(200);
    expect((await post("", { "content-type": "text/plain" })).status).toBe(200);
  });

  test("two Content-Type headers are refused", async () => {
    const headers = ["content-type", "application/json", "Content-Type", "application/json", "content-length", "2"];
    const response = await rawRequest(`${gateway.url}/v1/body`, { method: "POST", headers, body: "{}" });
    expect(response.status).toBe(415);
    expect(response.text).toContain("Content-Type is given twice");
  });

  test.each(["deflate", "zstd", "gzip, gzip", "nope"])("Content-Encoding: %s is 415", async (coding) => {
    const response = await post("{}", { "content-type": "application/json", "content-encoding": coding });
    expect(response.status).toBe(415);
    expect(response.headers.get("accept-encoding")).toBe("gzip, br");
    expect((await errorOf(response)).details[0]).toEqual(info("UNSUPPORTED_ENCODING"));
  });

  test.each(["gzip", "br"])("bytes that are not %s are 400", async (coding) => {
    const response = await post("{}", { "content-type": "application/json", "content-encoding": coding });
    expect(response.status).toBe(400);
    expect((await errorOf(response)).details[0]).toEqual(info("MALFORMED_BODY"));
  });

  test("a body that is cut short in its compression is 400", async () => {
    const whole = zlib.gzipSync(JSON.stringify({ stringValue: "x".repeat(1000) }));
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    expect((await post(whole.subarray(0, -6), headers)).status).toBe(400);
  });

  test("JSON that is none is 400", async () => {
    const response = await post("{", { "content-type": "application/json" });
    expect(response.status).toBe(400);
    expect((await errorOf(response)).details[0]).toEqual(info("MALFORMED_BODY"));
  });

  test("a body of exactly the limit is read, and one byte more is 413", async () => {
    const ofLength = (length: number) => `{"stringValue":"${"x".repeat(length - 18)}"}`;
    expect((await post(ofLength(100_000), { "content-type": "application/json" })).status).toBe(200);
    const response = await post(ofLength(100_001), { "content-type": "application/json" });
    expect(response.status).toBe(413);
    expect((await errorOf(response)).details[0]).toEqual(info("BODY_TOO_LARGE"));
  });

  test("a large body is 413 whether or not it says its length first", async () => {
    const large = new Uint8Array(3_000_000).fill(32);
    expect((await post(large, { "content-type": "application/json" })).status).toBe(413);
    const request = http.request(`${gateway.url}/v1/body`, { method: "POST", agent: false });
    request.setHeader("content-type", "application/json");
    request.write(large.subarray(0, 1_500_000));
    request.end(large.subarray(1_500_000));
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    // What is still to be sent meets a closed connection.
    request.on("error", () => undefined);
    expect(response.statusCode).toBe(413);
    expect((await response.toArray()).join("")).toContain("BODY_TOO_LARGE");
  });

  test.each([
    ["gzip", zlib.gzipSync],
    ["br", zlib.brotliCompressSync],
  ])("the limit holds after the decompression of %s", async (coding, compress) => {
    const bomb = compress(Buffer.alloc(50_000_000, " "));
    expect(bomb.length).toBeLessThan(100_000);
    const response = await post(bomb, { "content-type": "application/json", "content-encoding": coding });
    expect(response.status).toBe(413);
    expect((await errorOf(response)).message).toBe("the request body is larger than 100000 bytes, decompressed");
  });

  test("a body where the rule takes none is refused, however it comes", async () => {
    const withLength = await rawRequest(`${gateway.url}/v1/query`, { headers: ["content-length", "2"], body: "{}" });
    expect(withLength.status).toBe(400);
    expect(withLength.text).toContain("UNEXPECTED_BODY");
    const chunked = await rawRequest(`${gateway.url}/v1/query`, {
      headers: ["transfer-encoding", "chunked"],
      body: "{}",
    });
    expect(chunked.status).toBe(400);
    expect(chunked.text).toContain("UNEXPECTED_BODY");
    const empty = await rawRequest(`${gateway.url}/v1/query`, { headers: ["transfer-encoding", "chunked"] });
    expect(empty.status).toBe(200);
  });

  test("after a refused body the connection of the next request works", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (const expected of [415, 415, 413, 413]) {
      const request = http.request(`${gateway.url}/v1/body`, { method: "POST", agent });
      request.setHeader("content-type", expected === 415 ? "text/plain" : "application/json");
      request.end("x".repeat(expected === 415 ? 10 : 200_000));
      const [response] = (await once(request, "response")) as [http.IncomingMessage];
      request.on("error", () => undefined);
      expect(response.statusCode).toBe(expected);
      await response.toArray();
    }
    agent.destroy();
  });
});

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import http2 from "node:http2";
import https from "node:https";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGateway } from "../../src/gateway/gateway.ts";
import { fixtureService } from "./fixture.ts";
import { errorDomain, type FixtureGateway, startFixtureGateway } from "./fixture-gateway.ts";

describe("over HTTP/2", () => {
  let gateway: FixtureGateway;
  let session: http2.ClientHttp2Session;
  beforeAll(async () => {
    gateway = await startFixtureGateway({ http2: true });
    session = http2.connect(gateway.url);
  });
  afterAll(async () => {
    session.close();
    await gateway.close();
  });

  async function send(headers: http2.OutgoingHttpHeaders, body?: string): Promise<Http2Answer> {
    const stream = session.request(headers, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    let trailers: http2.IncomingHttpHeaders = {};
    stream.on("trailers", (received) => {
      trailers = received;
    });
    const [answer] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    const chunks: Buffer[] = await stream.toArray();
    return { headers: answer, trailers, text: Buffer.concat(chunks).toString() };
  }

  interface Http2Answer {
    headers: http2.IncomingHttpHeaders;
    trailers: http2.IncomingHttpHeaders;
    text: string;
  }

  test("a GET, whose method sees the host as a header and no pseudo header", async () => {
    const { headers, text } = await send({ ":path": "/v1/path/string/a%2Fb" });
    expect(headers[":status"]).toBe(200);
    expect(text).toBe('{"stringValue":"a/b"}');
    const context = gateway.calls.at(-1)?.context;
    expect(context?.requestHeader.get("host")).toBe(`127.0.0.1:${gateway.port}`);
    expect(context?.url).toBe(`${gateway.url}/v1/path/string/a%2Fb`);
  });

  test("a POST with a body, and one without", async () => {
    const post = { ":method": "POST", ":path": "/v1/body", "content-type": "application/json" };
    expect((await send(post, '{"stringValue":"x"}')).text).toBe('{"stringValue":"x"}');
    expect((await send(post)).text).toBe("{}");
    expect((await send(post, "")).text).toBe("{}");
  });

  test("errors, and a body that is too large", async () => {
    const missing = await send({ ":path": "/v1/act/not-found" });
    expect(missing.headers[":status"]).toBe(404);
    const post = { ":method": "POST", ":path": "/v1/body", "content-type": "application/json" };
    const large = await send(post, "x".repeat(200_000));
    expect(large.headers[":status"]).toBe(413);
    expect(large.text).toContain("BODY_TOO_LARGE");
    expect((await send({ ":path": "/v1/query" }, "{}")).text).toContain("UNEXPECTED_BODY");
  });

  test("a stream with its trailers", async () => {
    const { text, trailers } = await send({ ":path": "/v1/watch?count=2" });
    expect(text.split("\n")).toHaveLength(3);
    expect(trailers["x-total"]).toBe("2");
  });

  test("a stream that breaks off", async () => {
    const stream = session.request({ ":path": "/v1/download?count=3&failAfter=1" });
    await expect(stream.toArray()).rejects.toThrow("NGHTTP2_INTERNAL_ERROR");
  });

  test("a client that resets its stream ends the call", async () => {
    const stream = session.request({ ":path": "/v1/watch?count=100000000" });
    await once(stream, "data");
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await gateway.calls.at(-1)?.finished;
    await gateway.allHandled();
  });
});

test("over TLS the URL says so", async () => {
  const urls: string[] = [];
  const gateway = createGateway({
    services: [fixtureService],
    caller: {
      admit: () => Promise.resolve(),
      unary(_, message, context) {
        urls.push(context.url);
        return Promise.resolve({ message, header: new Headers(), trailer: new Headers() });
      },
      serverStream: () => Promise.reject(new Error("not called")),
    },
    maxBodyBytes: 1000,
    errorDomain,
  });
  // A shared key in place of a certificate.
  const psk = { psk: Buffer.alloc(32, 7), identity: "test" };
  const secured = { ciphers: "PSK-AES256-GCM-SHA384", minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
  const server = https.createServer({ ...secured, pskCallback: () => psk.psk }, gateway.handle);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}/v1/query?stringValue=x`;
  const connection = {
    ...secured,
    host: "127.0.0.1",
    port,
    pskCallback: () => psk,
    checkServerIdentity: () => undefined,
  };
  const request = https.get(url, { createConnection: () => tls.connect(connection) });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  expect(Buffer.concat(await response.toArray()).toString()).toBe('{"stringValue":"x"}');
  expect(urls).toEqual([url]);
  server.close();
  await once(server, "close");
});

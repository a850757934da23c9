import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { text } from "node:stream/consumers";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { Code, createClient } from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { httpGet } from "./http-get.ts";
import { maxBodyBytes, refusalOf, restRefusal, startLimitedServers } from "./limits-servers.ts";
import { openRawConnection, parseRawAnswer } from "./raw-connection.ts";
import { createSelfSigned } from "./self-signed.ts";
import type { TestServers } from "./test-servers.ts";

type Urls = Pick<TestServers, "httpUrl" | "grpcUrl">;
type Options = { useHttpGet?: boolean; sendCompression?: typeof compressionGzip };

const transports = {
  "Connect with JSON": ({ httpUrl: baseUrl }: Urls, options: Options = {}) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false, ...options }),
  "Connect with protobuf": ({ httpUrl: baseUrl }: Urls, options: Options = {}) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", ...options }),
  "Connect over HTTP/2": ({ grpcUrl: baseUrl }: Urls, options: Options = {}) =>
    createConnectTransport({ baseUrl, httpVersion: "2", ...options }),
  "gRPC-Web": ({ httpUrl: baseUrl }: Urls, options: Options = {}) =>
    createGrpcWebTransport({ baseUrl, httpVersion: "1.1", ...options }),
  gRPC: ({ grpcUrl: baseUrl }: Urls, options: Options = {}) => createGrpcTransport({ baseUrl, ...options }),
};

const path = "/v1/organizations/org_1";

describe("a URL that is too long", () => {
  // The first is understood and then refused; the second is more than the parser takes.
  test.each([9 * 1024, 60 * 1024])("by REST: 414 (%i bytes)", async (length) => {
    const { httpUrl } = await startLimitedServers();
    const answer = await httpGet(`${httpUrl}${path}?x=${"x".repeat(length)}`);
    expect(answer.status).toBe(414);
    expect(restRefusal(answer.body)).toEqual({ code: 414, status: "RESOURCE_EXHAUSTED", reason: "URL_TOO_LONG" });
    expect(await httpGet(httpUrl + path)).toMatchObject({ status: 200 });
  });

  test("by REST over HTTP/2: 414, and the connection goes on", async () => {
    const session = await openTlsSession();
    const answer = await sendHttp2(session, { ":path": `${path}?x=${"x".repeat(9 * 1024)}` });
    expect([answer.status, restRefusal(answer.body).reason]).toEqual([414, "URL_TOO_LONG"]);
    expect(await sendHttp2(session, { ":path": path })).toMatchObject({ status: 200 });
  });

  test("by Connect's GET: its own error", async () => {
    const transport = transports["Connect with JSON"](await startLimitedServers(), { useHttpGet: true });
    const call = createClient(OrganizationService, transport).getOrganization({ id: "x".repeat(9 * 1024) });
    expect(await refusalOf(call)).toEqual({ code: Code.ResourceExhausted, reason: "URL_TOO_LONG" });
  });
});

describe("headers that are too large together", () => {
  test.each([17 * 1024, 60 * 1024])("by REST: 431 (%i bytes)", async (length) => {
    const { httpUrl } = await startLimitedServers();
    const answer = await httpGet(httpUrl + path, { headers: { "x-long": "x".repeat(length) } });
    expect(answer.status).toBe(431);
    expect(restRefusal(answer.body)).toEqual({ code: 431, status: "RESOURCE_EXHAUSTED", reason: "HEADERS_TOO_LARGE" });
  });

  test("by REST over HTTP/2: 431; beyond what its parser takes the stream alone is reset", async () => {
    const session = await openTlsSession();
    const answer = await sendHttp2(session, { ":path": path, "x-long": "x".repeat(17 * 1024) });
    expect([answer.status, restRefusal(answer.body).reason]).toEqual([431, "HEADERS_TOO_LARGE"]);
    const beyond = sendHttp2(session, { ":path": path, "x-long": "x".repeat(40 * 1024) });
    await expect(beyond).rejects.toThrow("NGHTTP2_ENHANCE_YOUR_CALM");
    expect(await sendHttp2(session, { ":path": path })).toMatchObject({ status: 200 });
  });

  test.each(Object.entries(transports))("by %s: its own error", async (_name, createTransport) => {
    const client = createClient(OrganizationService, createTransport(await startLimitedServers()));
    const call = client.getOrganization({ id: "org_1" }, { headers: { "x-long": "x".repeat(17 * 1024) } });
    expect(await refusalOf(call)).toEqual({ code: Code.ResourceExhausted, reason: "HEADERS_TOO_LARGE" });
  });

  test("many small ones are not dropped in silence", async () => {
    const seen: (string | null)[] = [];
    const { httpUrl } = await startLimitedServers({
      gateway: (request, response) => {
        seen.push(request.headers["x-last"]?.toString() ?? null);
        response.end();
      },
    });
    const names = Array.from({ length: 2500 }, (_, index) => `${index.toString(36)}`);
    const { socket, received } = openRawConnection(httpUrl);
    socket.write(
      `GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${names.map((name) => `${name}:\r\n`).join("")}x-last: 1\r\n\r\n`,
    );
    expect(parseRawAnswer(await received).status).toBe(200);
    expect(seen).toEqual(["1"]);
  });
});

describe("a body that is too large", () => {
  const large = { organization: { name: "x".repeat(maxBodyBytes + 1) } };

  test.each(Object.entries(transports))(
    "by %s: its own error, and the server goes on",
    async (_name, createTransport) => {
      const client = createClient(OrganizationService, createTransport(await startLimitedServers()));
      const call = client.createOrganization(large);
      expect(await refusalOf(call)).toEqual({ code: Code.ResourceExhausted, reason: "BODY_TOO_LARGE" });
      expect((await client.createOrganization({ organization: { name: "small" } })).organization?.name).toBe("small");
    },
  );

  test.each(Object.entries(transports))("by %s: exactly the limit is not too large", async (name, createTransport) => {
    const client = createClient(OrganizationService, createTransport(await startLimitedServers()));
    const overhead = name === "Connect with JSON" ? '{"organization":{"name":""}}'.length : 8;
    const organization = { name: "x".repeat(maxBodyBytes - overhead) };
    expect((await client.createOrganization({ organization })).organization?.name).toBe(organization.name);
  });

  const requests = {
    REST: ["/v1/organizations", 413],
    Connect: ["/tellwire.v1.OrganizationService/CreateOrganization", 413],
  } as const;
  test.each(Object.entries(requests))(
    "by %s: a client that sends all of it first still reads why",
    async (_name, [target, status]) => {
      const { httpUrl } = await startLimitedServers();
      const body = Buffer.alloc(3 * 1024 * 1024, "x");
      const { socket, received } = openRawConnection(httpUrl);
      socket.write(
        `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      socket.write(body);
      const answer = parseRawAnswer(await received);
      expect(answer.status).toBe(status);
      expect(answer.body).toMatch(/"reason":"BODY_TOO_LARGE"|"resource_exhausted"/);
    },
  );

  test("by Connect in chunks: refused where the limit is passed, and the connection is used again", async () => {
    const { httpUrl } = await startLimitedServers();
    const { socket, received } = openRawConnection(httpUrl);
    const head =
      "POST /tellwire.v1.OrganizationService/CreateOrganization HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    const chunk = "x".repeat(maxBodyBytes);
    const chunked = `${chunk.length.toString(16)}\r\n${chunk}\r\n`.repeat(3);
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n${chunked}0\r\n\r\n`);
    socket.write(`${head}Content-Length: 2\r\nConnection: close\r\n\r\n{}`);
    const answers = await received;
    expect(answers).toContain('"code":"resource_exhausted","message":"the message is larger than 65536 bytes"');
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 429", "HTTP/1.1 200"]);
  });
});

describe("a small body that decompresses into a large one", () => {
  const json = `{"name":"${"x".repeat(16 * 1024 * 1024)}"}`;
  const bombs = { gzip: gzipSync(json), br: brotliCompressSync(json) };

  test.each(Object.entries(bombs))("by REST: 413 (%s)", async (coding, body) => {
    expect(body.length).toBeLessThan(maxBodyBytes);
    const { httpUrl } = await startLimitedServers();
    const answer = await fetch(`${httpUrl}/v1/organizations`, {
      method: "POST",
      body: Uint8Array.from(body),
      headers: { "content-type": "application/json", "content-encoding": coding },
    });
    expect(answer.status).toBe(413);
    expect(restRefusal(await answer.text()).reason).toBe("BODY_TOO_LARGE");
  });

  const codings = { gzip: compressionGzip, br: compressionBrotli };
  const cases = Object.entries(transports).flatMap(([name, createTransport]) =>
    Object.entries(codings).map(([coding, compression]) => [name, coding, createTransport, compression] as const),
  );
  test.each(cases)("by %s: its own error (%s)", async (_name, _coding, createTransport, sendCompression) => {
    const servers = await startLimitedServers();
    const client = createClient(OrganizationService, createTransport(servers, { sendCompression }));
    const call = client.createOrganization({ organization: { name: "x".repeat(16 * 1024 * 1024) } });
    expect(await refusalOf(call)).toEqual({ code: Code.ResourceExhausted, reason: "BODY_TOO_LARGE" });
  });

  test("bytes that are not compressed as they say are the client's fault", async () => {
    const { httpUrl } = await startLimitedServers();
    const answer = await fetch(`${httpUrl}/tellwire.v1.OrganizationService/CreateOrganization`, {
      method: "POST",
      body: "not gzip",
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
    });
    expect(await answer.json()).toMatchObject({ code: "invalid_argument" });
  });
});

test("what is no HTTP/1.1 is answered with 400 and a reason, and the server goes on", async () => {
  const { httpUrl } = await startLimitedServers();
  const { socket, received } = openRawConnection(httpUrl);
  socket.write("PRI * HTTP/9\r\n\r\n");
  const { status, body } = parseRawAnswer(await received);
  expect(status).toBe(400);
  expect(restRefusal(body)).toEqual({ code: 400, status: "INVALID_ARGUMENT", reason: "MALFORMED_REQUEST" });
  expect(await httpGet(httpUrl + path)).toMatchObject({ status: 200 });
});

test("nonsense behind a request that is being answered ends the connection after that answer, and is not answered in its place", async () => {
  const release = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const { httpUrl } = await startLimitedServers({
    gateway: async (_request, response) => {
      asked.resolve();
      await release.promise;
      response.end("the answer");
    },
  });
  const { socket, received } = openRawConnection(httpUrl);
  socket.write("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
  await asked.promise;
  socket.write("nonsense\r\n\r\n");
  await once(socket, "close");
  release.resolve();
  expect(await received).not.toContain("MALFORMED_REQUEST");
});

async function openTlsSession(): Promise<ClientHttp2Session> {
  const tls = createSelfSigned();
  const { httpUrl } = await startLimitedServers({ tls, http: { host: "localhost", port: 0 } });
  const session = connectHttp2(httpUrl, { ca: tls.cert });
  onTestFinished(() => session.destroy());
  return session;
}

async function sendHttp2(
  session: ClientHttp2Session,
  headers: Record<string, string>,
): Promise<{ status: number; body: string }> {
  const stream = session.request(headers);
  const [answer] = (await once(stream, "response")) as [{ ":status": number }];
  return { status: answer[":status"], body: await text(stream) };
}

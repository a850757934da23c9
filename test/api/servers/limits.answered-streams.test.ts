import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { describe, expect, onTestFinished, test } from "vitest";
import type { RequestLimits } from "../../../src/api/servers/request-limits.ts";
import { startLimitedServers } from "./limits-servers.ts";
import { createSelfSigned } from "./self-signed.ts";

const rpc = "/tellwire.v1.OrganizationService/CreateOrganization";

/** Requests that are answered by their headers alone, by the port that they are sent to. */
const refused: readonly [name: string, port: "http" | "grpc", status: number, headers: Record<string, string>][] = [
  ["an unknown method of gRPC", "grpc", 200, { ":path": "/tellwire.v1.No/No", "content-type": "application/grpc" }],
  ["an unknown path on the gRPC port", "grpc", 404, { ":path": "/no", "content-type": "application/json" }],
  ["a method of HTTP that no RPC has", "grpc", 405, { ":path": rpc, ":method": "PUT" }],
  ["a type of content that no RPC has", "grpc", 415, { ":path": rpc, "content-type": "text/plain" }],
  ["a URL that is too long", "grpc", 414, { ":path": `${rpc}?${"x".repeat(9_000)}` }],
  ["an unknown path", "http", 404, { ":path": "/v1/no" }],
  ["a method of HTTP that no route has", "http", 405, { ":path": "/v1/organizations", ":method": "PUT" }],
  ["a method of HTTP that no probe has", "http", 405, { ":path": "/healthz" }],
];

describe.each(refused)("%s", (_name, port, status, headers) => {
  test("leaves no stream behind, although its client never ends it", async () => {
    const session = await openSession(port, { bodyTimeoutMs: 200 });
    const stream = await refuse(session, headers, status);
    if (!stream.closed) await once(stream, "close");
    expect(stream.rstCode).toBe(0);
  });

  test("is cut off where its client sends without an end", async () => {
    const session = await openSession(port, {});
    const stream = await refuse(session, headers, status);
    const closed = new Promise((resolve) => stream.once("close", resolve));
    let sent = 0;
    for (; sent < 64 && !stream.closed; sent++) {
      if (!stream.write(Buffer.alloc(2 ** 20))) {
        await Promise.race([new Promise((resolve) => stream.once("drain", resolve)), closed]);
      }
    }
    if (!stream.closed) await closed;
    expect(sent).toBeLessThan(64);
  });

  test("leaves the connection to the calls after it, whatever its client has sent", async () => {
    const session = await openSession(port, {});
    // Together more than the window of a connection, 64 KiB.
    for (let count = 0; count < 3; count++) await refuse(session, headers, status, Buffer.alloc(40_000));
    const call = session.request({ ":method": "POST", ":path": rpc, "content-type": "application/json" });
    call.end(JSON.stringify({ organization: { name: "x".repeat(30_000) } }));
    call.resume();
    expect((await once(call, "response"))[0]).toMatchObject({ ":status": 200 });
  });
});

test.each(refused.filter(([, , status]) => [404, 405, 415].includes(status)))(
  "the stream of %s is closed at once",
  async (_name, port, status, headers) => {
    const stream = await refuse(await openSession(port, { bodyTimeoutMs: 600_000 }), headers, status);
    if (!stream.closed) await once(stream, "close");
    expect(stream.rstCode).toBe(0);
  },
);

/** Begins a request that it does not end, and waits for the whole of its answer. */
async function refuse(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  status: number,
  body = Buffer.from("{"),
): Promise<ClientHttp2Stream> {
  const stream = session.request({ ":method": "POST", ...headers });
  stream.on("error", () => {});
  stream.write(body);
  stream.resume();
  const [answer] = await Promise.all([once(stream, "response"), once(stream, "end")]);
  expect(answer[0]).toMatchObject({ ":status": status });
  return stream;
}

async function openSession(port: "http" | "grpc", limits: Partial<RequestLimits>): Promise<ClientHttp2Session> {
  const tls = createSelfSigned();
  const http = { host: "localhost", port: 0 };
  const servers = await startLimitedServers(port === "http" ? { tls, http, limits } : { limits });
  const session = port === "http" ? connect(servers.httpUrl, { ca: tls.cert }) : connect(servers.grpcUrl);
  onTestFinished(() => session.destroy());
  return session;
}

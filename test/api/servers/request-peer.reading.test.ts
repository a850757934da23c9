import { once } from "node:events";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:http2";
import { text } from "node:stream/consumers";
import type { Interceptor } from "@connectrpc/connect";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { beforeEach, describe, expect, test } from "vitest";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { peerContext, peerOf } from "../../../src/api/peer-context.ts";
import { createConnectCaller } from "../../../src/gateway/connect-caller.ts";
import { createGateway } from "../../../src/gateway/gateway.ts";
import { createRequestPeer } from "../../../src/request-peer.ts";
import type { Peer } from "../../../src/usecases/authenticate.ts";
import { organizationRoutes, startTestServers } from "./test-servers.ts";

let requests = 0;
const seen: Peer[] = [];
beforeEach(() => {
  seen.length = 0;
});

/** Servers behind which an interceptor notes who calls. */
async function startServers({ trustedProxies = [], host = "127.0.0.1" }: { trustedProxies?: string[]; host?: string }) {
  const readPeer = createRequestPeer({ trustedProxies, newRequestId: () => `req_${++requests}` });
  const interceptors: Interceptor[] = [
    (next) => (request) => {
      seen.push(peerOf(request));
      return next(request);
    },
  ];
  const routes = organizationRoutes();
  const contextValuesOf = (request: Parameters<typeof readPeer>[0]) => peerContext(readPeer(request));
  const gateway = createGateway({
    services: [OrganizationService],
    caller: createConnectCaller({ routes, interceptors, contextValuesOf }),
    maxBodyBytes: 1_000,
    errorDomain: "tellwire",
  });
  const options = { routes, interceptors, readPeer, gateway: gateway.handle };
  return await startTestServers({ ...options, http: { host, port: 0 }, grpc: { host, port: 0 } });
}

describe("behind proxies", () => {
  const trustedProxies = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"];
  test.each<[what: string, forwardedFor: string | string[] | undefined, address: string]>([
    ["nothing forwarded", undefined, "127.0.0.1"],
    ["one address", "203.0.113.7", "203.0.113.7"],
    ["what the client wrote itself stands to the left", "1.1.1.1, 203.0.113.7", "203.0.113.7"],
    ["proxies behind each other", "203.0.113.7, 10.0.0.2, 10.9.9.9", "203.0.113.7"],
    ["a client that claims to be a proxy", "10.0.0.66, 203.0.113.7, 10.0.0.2", "203.0.113.7"],
    ["nobody but proxies", "10.0.0.3,10.0.0.2", "10.0.0.3"],
    ["several headers are one list", ["1.1.1.1, 203.0.113.7", "10.0.0.2"], "203.0.113.7"],
    ["IPv6", "2001:db8::1, fd00::2", "2001:db8::1"],
    ["IPv4 as IPv6", "::ffff:203.0.113.7", "203.0.113.7"],
    ["a proxy as IPv4 in IPv6", "203.0.113.7, ::ffff:10.0.0.2", "203.0.113.7"],
    ["a port", "203.0.113.7:4711", "203.0.113.7"],
    ["IPv6 with a port", "[2001:db8::1]:4711", "2001:db8::1"],
    ["no address", "unknown", "127.0.0.1"],
    ["no address behind a proxy", "203.0.113.7, _hidden, 10.0.0.2", "10.0.0.2"],
    ["an octal form is no address", "0313.0.113.7", "127.0.0.1"],
    ["empty", "", "127.0.0.1"],
    ["commas alone", ",,", "127.0.0.1"],
  ])("%s", async (_what, forwardedFor, address) => {
    const { httpUrl } = await startServers({ trustedProxies });
    await get(httpUrl, forwardedFor === undefined ? {} : { "x-forwarded-for": forwardedFor as string });
    expect(seen.map(({ origin }) => origin.address)).toEqual([address]);
  });

  test("without trusted proxies, or from elsewhere, nobody is believed", async () => {
    for (const trusted of [[], ["10.0.0.0/8"]]) {
      const { httpUrl } = await startServers({ trustedProxies: trusted });
      await get(httpUrl, { "x-forwarded-for": "203.0.113.7" });
    }
    expect(seen.map(({ origin }) => origin.address)).toEqual(["127.0.0.1", "127.0.0.1"]);
  });
});

test("a socket for both families shows IPv4 as IPv4, and such a proxy is known", async () => {
  const { httpUrl } = await startServers({ host: "::", trustedProxies: ["127.0.0.1"] });
  const url = `http://127.0.0.1:${new URL(httpUrl).port}`;
  await get(url, {});
  await get(url, { "x-forwarded-for": "203.0.113.7" });
  expect(seen.map(({ origin }) => origin.address)).toEqual(["127.0.0.1", "203.0.113.7"]);
});

test("every protocol tells the address, the user agent and a request id of its own", async () => {
  const { httpUrl, grpcUrl } = await startServers({});
  await get(httpUrl, { "user-agent": "rest" });
  const headers = { "user-agent": "rpc" };
  for (const transport of [
    createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1" }),
    createConnectTransport({ baseUrl: grpcUrl, httpVersion: "2" }),
    createGrpcTransport({ baseUrl: grpcUrl }),
  ]) {
    await createClient(OrganizationService, transport).getOrganization({ id: "org_1" }, { headers });
  }
  expect(seen).toHaveLength(4);
  expect(new Set(seen.map(({ origin }) => origin.requestId)).size).toBe(4);
  for (const { origin, clientCertificate } of seen) {
    expect(origin).toEqual({
      address: "127.0.0.1",
      userAgent: expect.stringMatching(/rest|rpc/),
      requestId: expect.stringMatching(/^req_/),
    });
    expect(clientCertificate).toBeUndefined();
  }
});

test("a user agent is cut, and has no control characters", async () => {
  const { httpUrl } = await startServers({});
  await get(httpUrl, { "user-agent": `a\tb\u0085c${"x".repeat(300)}` });
  await get(httpUrl, { "user-agent": "\t\u0080" });
  expect(seen[0]?.origin.userAgent).toBe(`abc${"x".repeat(253)}`);
  expect(seen[1]?.origin.userAgent).toBeUndefined();
});

test("a connection that is gone has no address, and no error", async () => {
  const readPeer = createRequestPeer({ trustedProxies: ["127.0.0.1"], newRequestId: () => "req_1" });
  const late = Promise.withResolvers<Peer>();
  const { grpcUrl } = await startTestServers({
    readPeer: (request) => {
      const session = "stream" in request ? request.stream.session : undefined;
      session?.once("close", () => late.resolve(readPeer(request)));
      session?.destroy();
      return readPeer(request);
    },
  });
  const client = connect(grpcUrl);
  client.on("error", () => {});
  const stream = client.request({ ":path": "/tellwire.v1.OrganizationService/GetOrganization", ":method": "POST" });
  stream.on("error", () => {});
  await once(stream, "close");
  expect((await late.promise).origin).toEqual({ address: undefined, userAgent: undefined, requestId: "req_1" });
  client.destroy();
});

/** By Node's own client, which sends headers as they are. */
async function get(baseUrl: string, headers: IncomingHttpHeaders): Promise<void> {
  const request = httpRequest(`${baseUrl}/v1/organizations/org_1`, { headers, agent: false });
  request.end();
  const [response] = await once(request, "response");
  await text(response);
}

import { once } from "node:events";
import { Agent } from "node:http";
import { connect } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { status } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import { EventService, type PublishEventStreamResponse } from "../../../gen/tellwire/v1/event_service_pb.ts";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { closingSignalKey } from "../../../src/api/servers/closing-signal.ts";
import { untilAborted } from "../../../src/api/servers/until-aborted.ts";
import { freePort } from "../../support/free-port.ts";
import { createGrpcJsClient } from "../../support/grpc-js-client.ts";
import { httpGet } from "./http-get.ts";
import { createSelfSigned } from "./self-signed.ts";
import {
  atOnceMs,
  noTimer,
  organizationRoutes,
  prepareTestServers,
  startTestServers,
  type TestServers,
} from "./test-servers.ts";

const tls = createSelfSigned();
const localhost = { host: "localhost", port: 0 };
const nodeOptions = { ca: tls.cert };

const clients = {
  "Connect over HTTP/1.1": {
    start: startTestServers,
    transport: ({ httpUrl }: TestServers) =>
      createConnectTransport({
        baseUrl: httpUrl,
        httpVersion: "1.1",
        nodeOptions: { agent: new Agent({ keepAlive: true }) },
      }),
  },
  "Connect over HTTP/1.1 with TLS": {
    start: (options: object) => startTestServers({ ...options, tls, http: localhost, grpc: localhost }),
    transport: ({ httpUrl }: TestServers) =>
      createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1", nodeOptions }),
  },
  "gRPC over h2c": {
    start: startTestServers,
    transport: ({ grpcUrl }: TestServers) => createGrpcTransport({ baseUrl: grpcUrl }),
  },
  "gRPC with TLS": {
    start: (options: object) => startTestServers({ ...options, tls, http: localhost, grpc: localhost }),
    transport: ({ grpcUrl }: TestServers) => createGrpcTransport({ baseUrl: grpcUrl, nodeOptions }),
  },
};

for (const [name, { start, transport }] of Object.entries(clients)) {
  test(`${name}: a slow call finishes after the close began, new ones are refused, and the close ends with it`, async () => {
    const { routes, started, release } = slowRoutes();
    const servers = await start({ routes });
    const client = createClient(OrganizationService, transport(servers));
    const slow = client.getOrganization({ id: "slow" });
    await started;
    const closed = servers.close(noTimer);
    const late = createClient(OrganizationService, transport(servers));
    await expect(late.getOrganization({ id: "quick" })).rejects.toThrow();
    await expect(client.getOrganization({ id: "quick" })).rejects.toThrow();
    const beganMs = performance.now();
    release();
    expect((await slow).organization?.name).toBe("Organization slow");
    await closed;
    expect(performance.now() - beganMs).toBeLessThan(atOnceMs);
    expect(servers.logLines).toEqual([]);
  });
}

test("idle connections are closed at once: kept alive, never used, HTTP/1.1 or HTTP/2", async () => {
  const { httpUrl, grpcUrl, close } = await startTestServers();
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  await httpGet(`${httpUrl}/healthz`, { agent });
  const unused = connect(Number(new URL(httpUrl).port), "127.0.0.1");
  await once(unused, "connect");
  const unusedEnd = once(unused, "close");
  unused.resume();
  using client = createGrpcJsClient(OrganizationService, grpcUrl);
  await client.getOrganization({ id: "org_1" });
  const beganMs = performance.now();
  await close(noTimer);
  await unusedEnd;
  expect(performance.now() - beganMs).toBeLessThan(atOnceMs);
});

test("a call that outlasts the grace is cut off; its signal aborts first, so that it can still say UNAVAILABLE", async () => {
  let starting = 2;
  const { promise: bothStarted, resolve: onBothStarted } = Promise.withResolvers<void>();
  const routes = organizationRoutes(async (id, signal) => {
    if (--starting === 0) onBothStarted();
    const { promise, reject } = Promise.withResolvers<never>();
    if (id === "attentive") signal.addEventListener("abort", () => reject(signal.reason));
    await promise;
  });
  const servers = await startTestServers({ routes });
  using client = createGrpcJsClient(OrganizationService, servers.grpcUrl);
  const attentive = client.getOrganization({ id: "attentive" }).catch((error: unknown) => error);
  const deaf = createClient(
    OrganizationService,
    createConnectTransport({ baseUrl: servers.httpUrl, httpVersion: "1.1" }),
  )
    .getOrganization({ id: "deaf" })
    .catch(ConnectError.from);
  await bothStarted;
  await servers.close({ graceMs: 1 });
  expect(await attentive).toMatchObject({
    code: status.UNAVAILABLE,
    details: "the server is shutting down: try again",
  });
  expect(await deaf).toMatchObject({ code: Code.Aborted });
  expect(servers.logLines.join()).toContain("cut off");
});

test("a stream is told when the shutdown begins, and can end in good order", async () => {
  const servers = await startTestServers({
    routes: (router) =>
      router.service(EventService, {
        async *publishEventStream(requests, { values }) {
          for await (const _ of untilAborted(requests, values.get(closingSignalKey))) yield { index: 1n };
          yield { index: 2n };
        },
      }),
  });
  using client = createGrpcJsClient(EventService, servers.grpcUrl);
  const stream = client.publishEventStream();
  stream.write({});
  const answers = (stream as AsyncIterable<PublishEventStreamResponse>)[Symbol.asyncIterator]();
  expect(await answers.next()).toMatchObject({ value: { index: 1n } });
  const beganMs = performance.now();
  await servers.close(noTimer);
  expect(performance.now() - beganMs).toBeLessThan(atOnceMs);
  expect(servers.logLines).toEqual([]);
  expect(await answers.next()).toMatchObject({ value: { index: 2n } });
  expect(await answers.next()).toMatchObject({ done: true });
});

test("a close may be asked for twice, and before anything listens", async () => {
  const servers = await startTestServers({ http: { host: "127.0.0.1", port: await freePort() } });
  await Promise.all([servers.close(noTimer), servers.close({ graceMs: 0 })]);
  await expect(httpGet(`${servers.httpUrl}/healthz`)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  await prepareTestServers().close(noTimer);
});

function slowRoutes() {
  const started = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const routes = organizationRoutes(async (id) => {
    if (id !== "slow") return;
    started.resolve();
    await released.promise;
  });
  return { routes, started: started.promise, release: released.resolve };
}

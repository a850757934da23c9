import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type ClientReadableStream, status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import {
  Health,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { createGrpcJsClient } from "../../support/grpc-js-client.ts";
import { atOnceMs, noTimer, startTestServers } from "./test-servers.ts";

const organizations = "tellwire.v1.OrganizationService";
const notReady = { ok: false, checks: { database: { ok: false } } };

test("Check says SERVING for the process and for each service, and NOT_FOUND for an unknown one", async () => {
  const { grpcUrl } = await startTestServers();
  using client = createGrpcJsClient(Health, grpcUrl);
  expect(await client.check({})).toMatchObject({ status: Status.SERVING });
  expect(await client.check({ service: organizations })).toMatchObject({ status: Status.SERVING });
  await expect(client.check({ service: "tellwire.v1.Nothing" })).rejects.toMatchObject({ code: status.NOT_FOUND });
});

test("Check says NOT_SERVING when the process is not ready, and when its close is announced", async () => {
  const unready = await startTestServers({ health: { ready: async () => notReady } });
  using first = createGrpcJsClient(Health, unready.grpcUrl);
  expect(await first.check({})).toMatchObject({ status: Status.NOT_SERVING });
  const leaving = await startTestServers();
  using second = createGrpcJsClient(Health, leaving.grpcUrl);
  leaving.announceClose();
  expect(await second.check({ service: organizations })).toMatchObject({ status: Status.NOT_SERVING });
});

test("List names the process and every service", async () => {
  const { grpcUrl } = await startTestServers();
  using client = createGrpcJsClient(Health, grpcUrl);
  const { statuses } = await client.list({});
  expect(Object.entries(statuses).map(([name, { status }]) => [name, status])).toEqual([
    ["", Status.SERVING],
    [organizations, Status.SERVING],
  ]);
});

test("Watch sends the state at once and each change, and none twice", async () => {
  const { grpcUrl, health } = await startTestServers();
  using client = createGrpcJsClient(Health, grpcUrl);
  const watch = client.watch({ service: organizations });
  const states = statesOf(watch);
  expect(await states.next()).toMatchObject({ value: Status.SERVING });
  health.readiness = notReady;
  expect(await states.next()).toMatchObject({ value: Status.NOT_SERVING });
  health.readiness = { ok: true, checks: {} };
  expect(await states.next()).toMatchObject({ value: Status.SERVING });
  watch.cancel();
});

test("Watch of an unknown service says SERVICE_UNKNOWN, and stays open until the shutdown", async () => {
  const { grpcUrl, close } = await startTestServers();
  using client = createGrpcJsClient(Health, grpcUrl);
  const states = statesOf(client.watch({ service: "tellwire.v1.Nothing" }));
  expect(await states.next()).toMatchObject({ value: Status.SERVICE_UNKNOWN });
  let isOpen = true;
  const end = states.next().finally(() => {
    isOpen = false;
  });
  await client.check({});
  expect(isOpen).toBe(true);
  await close(noTimer);
  expect(await end).toMatchObject({ done: true });
});

test("the shutdown sends NOT_SERVING to those who watch, and ends their streams without waiting for the grace", async () => {
  const { grpcUrl, httpUrl, close, logLines } = await startTestServers();
  using client = createGrpcJsClient(Health, grpcUrl);
  const states = statesOf(client.watch({}));
  const overConnect = createClient(Health, createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1" }));
  const others = overConnect.watch({})[Symbol.asyncIterator]();
  expect(await states.next()).toMatchObject({ value: Status.SERVING });
  expect(await others.next()).toMatchObject({ value: { status: Status.SERVING } });
  const beganMs = performance.now();
  await close(noTimer);
  expect(performance.now() - beganMs).toBeLessThan(atOnceMs);
  expect(await states.next()).toMatchObject({ value: Status.NOT_SERVING });
  expect(await states.next()).toMatchObject({ done: true });
  expect(await others.next()).toMatchObject({ value: { status: Status.NOT_SERVING } });
  expect(await others.next()).toMatchObject({ done: true });
  expect(logLines).toEqual([]);
});

test("health checking speaks Connect too, for those who have no gRPC at hand", async () => {
  const { httpUrl } = await startTestServers();
  const client = createClient(Health, createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1" }));
  expect(await client.check({})).toMatchObject({ status: Status.SERVING });
  const refusal = await client.check({ service: "nothing" }).catch(ConnectError.from);
  expect(refusal).toMatchObject({ code: Code.NotFound });
});

async function* statesOf(watch: ClientReadableStream<HealthCheckResponse>): AsyncGenerator<Status> {
  for await (const { status } of watch as AsyncIterable<HealthCheckResponse>) yield status;
}

import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { status } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { WebhookService } from "../../../gen/tellwire/v1/webhook_service_pb.ts";
import { createGrpcJsClient } from "../../support/grpc-js-client.ts";
import { httpGet } from "./http-get.ts";
import { organizationRoutes, startTestServers, type TestServers } from "./test-servers.ts";

const transports = {
  "Connect with JSON over HTTP/1.1": ({ httpUrl }: TestServers) =>
    createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1", useBinaryFormat: false }),
  "Connect with protobuf over HTTP/1.1": ({ httpUrl }: TestServers) =>
    createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1" }),
  "Connect by GET": ({ httpUrl }: TestServers) =>
    createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1", useHttpGet: true }),
  "gRPC-Web over HTTP/1.1": ({ httpUrl }: TestServers) =>
    createGrpcWebTransport({ baseUrl: httpUrl, httpVersion: "1.1" }),
  "gRPC over h2c": ({ grpcUrl }: TestServers) => createGrpcTransport({ baseUrl: grpcUrl }),
};

for (const [protocol, createTransport] of Object.entries(transports)) {
  test(`${protocol}: a call is answered, and an unimplemented one refused as such`, async () => {
    const client = createClient(OrganizationService, createTransport(await startTestServers()));
    const { organization } = await client.getOrganization({ id: "org_1" });
    expect(organization?.name).toBe("Organization org_1");
    const refusal = await client.listApiKeys({ organizationId: "org_1" }).catch(ConnectError.from);
    expect(refusal).toMatchObject({ code: Code.Unimplemented });
  });

  test(`${protocol}: a message beyond the limit is refused, and the server goes on`, async () => {
    const client = createClient(OrganizationService, createTransport(await startTestServers({ maxBodyBytes: 1000 })));
    const refusal = await client
      .createOrganization({ organization: { name: "x".repeat(1001) } })
      .catch(ConnectError.from);
    expect(refusal).toMatchObject({ code: Code.ResourceExhausted });
    const { organization } = await client.createOrganization({ organization: { name: "small" } });
    expect(organization?.name).toBe("small");
  });
}

test("a client of grpc-js is answered over h2c", async () => {
  const { grpcUrl } = await startTestServers();
  using client = createGrpcJsClient(OrganizationService, grpcUrl);
  const { organization } = await client.getOrganization({ id: "org_1" });
  expect(organization?.name).toBe("Organization org_1");
});

test("a gRPC call of a service that is not served is UNIMPLEMENTED, with the method in its message", async () => {
  const { grpcUrl } = await startTestServers();
  using client = createGrpcJsClient(WebhookService, grpcUrl);
  await expect(client.getWebhook({ id: "wh_1" })).rejects.toMatchObject({
    code: status.UNIMPLEMENTED,
    details: "/tellwire.v1.WebhookService/GetWebhook is no method of this server",
  });
});

test("an error's message arrives as it was written, in every protocol", async () => {
  const message = "webhook.url: 100% of „hosts“ must be public; not [::1]/x?\n";
  const servers = await startTestServers({
    routes: organizationRoutes(() => Promise.reject(new ConnectError(message, Code.InvalidArgument))),
  });
  using client = createGrpcJsClient(OrganizationService, servers.grpcUrl);
  await expect(client.getOrganization({ id: "org_1" })).rejects.toMatchObject({ details: message });
  for (const createTransport of Object.values(transports)) {
    const call = createClient(OrganizationService, createTransport(servers)).getOrganization({ id: "org_1" });
    expect(await call.catch(ConnectError.from)).toMatchObject({ rawMessage: message });
  }
});

test("interceptors see the calls of every service, and what they throw is answered", async () => {
  const seen: string[] = [];
  const { grpcUrl } = await startTestServers({
    interceptors: [
      (next) => (request) => {
        seen.push(request.service.typeName);
        if (request.header.get("x-api-key") !== "right") throw new ConnectError("no key", Code.Unauthenticated);
        return next(request);
      },
    ],
  });
  using stranger = createGrpcJsClient(OrganizationService, grpcUrl);
  await expect(stranger.getOrganization({ id: "org_1" })).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
  using friend = createGrpcJsClient(OrganizationService, grpcUrl, { "x-api-key": "right" });
  await friend.getOrganization({ id: "org_1" });
  expect(seen).toEqual(["tellwire.v1.OrganizationService", "tellwire.v1.OrganizationService"]);
});

test("what is neither an RPC nor a probe goes to the gateway, with its path and query", async () => {
  const { httpUrl } = await startTestServers({
    gateway: async (request, response) => {
      response.writeHead(200);
      response.end(`${request.method} ${request.url}`);
    },
  });
  const answer = await httpGet(`${httpUrl}/v1/organizations/org_1?x=1`, { method: "DELETE" });
  expect(answer.body).toBe("DELETE /v1/organizations/org_1?x=1");
});

test("a gateway that fails answers 500 without the cause, which is logged", async () => {
  const { httpUrl, logLines } = await startTestServers({
    gateway: async () => {
      throw new Error("the password is hunter2");
    },
  });
  const answer = await httpGet(`${httpUrl}/v1/organizations`);
  expect(answer.status).toBe(500);
  expect(answer.body).not.toContain("hunter2");
  expect(logLines.join()).toContain("hunter2");
});

test("without a gateway an unknown path is 404 in the form of AIP-193", async () => {
  const { httpUrl } = await startTestServers();
  const answer = await httpGet(`${httpUrl}/v1/organizations`);
  expect(answer.status).toBe(404);
  expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 404, status: "NOT_FOUND" } });
});

test("a Host header that no URL can have, or none, is answered with 400, and the server goes on", async () => {
  const { httpUrl } = await startTestServers();
  const path = "/tellwire.v1.OrganizationService/GetOrganization";
  expect(
    await rawRequest(httpUrl, `POST ${path} HTTP/1.1\r\nHost: [\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`),
  ).toMatch(/^HTTP\/1\.1 400 /);
  expect(await rawRequest(httpUrl, `POST ${path} HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
  expect(await httpGet(`${httpUrl}/healthz`)).toMatchObject({ status: 200 });
});

test("headers beyond the limit are refused", async () => {
  const { httpUrl } = await startTestServers();
  expect(await httpGet(`${httpUrl}/healthz`, { headers: { "x-long": "x".repeat(17 * 1024) } })).toMatchObject({
    status: 431,
  });
});

test("the gRPC port tells its clients how many calls one connection may have open", async () => {
  const { grpcUrl } = await startTestServers();
  const session = connectHttp2(grpcUrl);
  onTestFinished(() => session.destroy());
  const [settings] = await once(session, "remoteSettings");
  expect(settings).toMatchObject({ maxConcurrentStreams: 256, maxHeaderListSize: 32 * 1024 });
});

test("a client that speaks HTTP/1.1 to the gRPC port gets no answer from it, and the port goes on", async () => {
  const { grpcUrl } = await startTestServers();
  await expect(httpGet(`${grpcUrl}/healthz`)).rejects.toThrow();
  using client = createGrpcJsClient(OrganizationService, grpcUrl);
  await client.getOrganization({ id: "org_1" });
});

/** Sends these bytes, and answers with all that comes back until the server ends the connection. */
async function rawRequest(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(bytes);
  return text(socket);
}

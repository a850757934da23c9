import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { connect, type SecureVersion } from "node:tls";
import { Code } from "@connectrpc/connect";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { createAdmission, createAuthInterceptor, principalOf } from "../../../src/api/interceptors/auth-interceptor.ts";
import { createErrorInterceptor } from "../../../src/api/interceptors/error-interceptor.ts";
import type { ServerTls } from "../../../src/api/servers/server-tls.ts";
import type { ClientIdentity } from "../../../src/domain/client-identity.ts";
import { createRequestPeer } from "../../../src/request-peer.ts";
import type { Principal } from "../../../src/usecases/access.ts";
import { createAuthenticate } from "../../../src/usecases/authenticate.ts";
import { createClientCertificates } from "../../../src/usecases/client-certificates.ts";
import { createOperatorKeys } from "../../../src/usecases/operator-keys.ts";
import { type Certificate, createAuthority, selfSign } from "../../outbound/certificate.ts";
import { createGrpcJsClient } from "../../support/grpc-js-client.ts";
import { noCallLimits } from "../../support/principals.ts";
import { startTestServers } from "./test-servers.ts";

const organizationId = "0196a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c";
const operatorKey = "operator-key-of-this-test-0123456789";
const identities: ClientIdentity[] = [
  { name: "spiffe://example.com/billing", grant: { kind: "operator" } },
  { name: "publisher.internal", grant: { kind: "organization", organizationId, scopes: ["webhooks:read"] } },
  { name: "writer.internal", grant: { kind: "organization", organizationId, scopes: ["webhooks:write"] } },
];
const server = createAuthority();
const clients = createAuthority();
const serverIdentity = server.issue({ names: ["localhost", "127.0.0.1"] });
const localhost = { host: "localhost", port: 0 };

let now: () => number;
beforeAll(() => {
  now = Date.now;
});

describe("where certificates are optional", () => {
  it("a verified certificate with a listed URI is an operator", async () => {
    const { principalWith } = await startWith("optional");
    expect(await principalWith(clients.issue({ names: ["spiffe://example.com/billing"] }))).toMatchObject({
      kind: "operator",
      actor: { kind: "CLIENT_CERTIFICATE", id: "spiffe://example.com/billing" },
      origin: { address: expect.stringMatching(/^(::1|127\.0\.0\.1)$/) },
    });
  });

  it("a verified certificate with a listed DNS name stands for its organization, with the scopes of the list", async () => {
    const { principalWith } = await startWith("optional");
    expect(await principalWith(clients.issue({ names: ["other", "Publisher.Internal"] }))).toMatchObject({
      kind: "organization",
      organizationId,
      projectId: undefined,
      scopes: new Set(["webhooks:read"]),
      actor: { kind: "CLIENT_CERTIFICATE", id: "publisher.internal" },
    });
    await expect(principalWith(clients.issue({ names: ["writer.internal"] }))).rejects.toMatchObject({
      code: Code.PermissionDenied,
      details: expect.stringContaining("webhooks:read"),
    });
  });

  it("a connection without a certificate may show a key, and is asked for one", async () => {
    const { principalWith } = await startWith("optional");
    expect(await principalWith({}, operatorKey)).toMatchObject({ actor: { kind: "OPERATOR_KEY" } });
    await expect(principalWith({})).rejects.toMatchObject({
      code: Code.Unauthenticated,
      details: expect.stringContaining("send a key"),
    });
  });

  it("a call with a key is that key's, whatever the certificate", async () => {
    const { principalWith } = await startWith("optional");
    const billing = clients.issue({ names: ["spiffe://example.com/billing"] });
    const publisher = clients.issue({ names: ["publisher.internal"] });
    expect(await principalWith(publisher, operatorKey)).toMatchObject({ actor: { kind: "OPERATOR_KEY" } });
    await expect(principalWith(billing, "wrong")).rejects.toMatchObject({ code: Code.Unauthenticated });
  });

  it.each([
    { authorization: "Basic YTpi" },
    { authorization: "Bearer" },
    { authorization: "Bearer two words" },
    { authorization: "" },
    { "x-api-key": "" },
  ])("a call that shows a key in no form that is understood is not its certificate's either: %j", async (headers) => {
    const { url, seen } = await startWith("optional");
    const billing = clients.issue({ names: ["spiffe://example.com/billing"] });
    using client = createGrpcJsClient(OrganizationService, url, headers, { ca: server.cert, ...billing });
    await expect(client.getOrganization({ id: "org_1" })).rejects.toMatchObject({
      code: Code.Unauthenticated,
      details: expect.stringContaining("Authorization: Bearer <key>"),
    });
    expect(seen).toEqual([]);
  });

  const past = new Date(Date.now() - 60_000);
  const future = new Date(Date.now() + 1_800_000);
  it.each<[string, string, () => Certificate]>([
    ["is not listed", "stands for nobody here", () => clients.issue({ names: ["somebody.internal", "spiffe://x/y"] })],
    [
      "has a listed name as its common name alone",
      "common name does not count",
      () => clients.issue({ names: [], commonName: "publisher.internal" }),
    ],
    [
      "has a listed name as a part of another",
      "stands for nobody",
      () => clients.issue({ names: ["publisher.internal.example.com", "a.publisher.internal"] }),
    ],
    ["has a wildcard", "stands for nobody", () => clients.issue({ names: ["*.internal"] })],
    [
      "has a URI in other letters",
      "stands for nobody",
      () => clients.issue({ names: ["spiffe://example.com/BILLING"] }),
    ],
    [
      "has two listed names",
      "several names",
      () => clients.issue({ names: ["publisher.internal", "spiffe://example.com/billing"] }),
    ],
    ["has expired", "CERT_HAS_EXPIRED", () => clients.issue({ names: ["publisher.internal"], notAfter: past })],
    [
      "is not valid yet",
      "CERT_NOT_YET_VALID",
      () => clients.issue({ names: ["publisher.internal"], notBefore: future }),
    ],
    ["is of another authority", "not trusted", () => createAuthority().issue({ names: ["publisher.internal"] })],
    ["is of the server's authority", "not trusted", () => server.issue({ names: ["publisher.internal"] })],
    ["is signed by itself", "not trusted", () => selfSign({ names: ["publisher.internal"] })],
  ])("a certificate that %s is refused with the reason, unless the call has a key", async (_what, message, make) => {
    const { principalWith } = await startWith("optional");
    const certificate = make();
    await expect(principalWith(certificate)).rejects.toMatchObject({
      code: Code.Unauthenticated,
      details: expect.stringContaining(message),
    });
    expect(await principalWith(certificate, operatorKey)).toMatchObject({ actor: { kind: "OPERATOR_KEY" } });
  });

  it("a connection that outlives its certificate opens nothing more", async () => {
    const { url, seen } = await startWith("optional");
    const certificate = clients.issue({ names: ["publisher.internal"], notAfter: new Date(Date.now() + 600_000) });
    using client = createGrpcJsClient(OrganizationService, url, {}, { ca: server.cert, ...certificate });
    await client.getOrganization({ id: "org_1" });
    expect(seen).toHaveLength(1);
    const later = Date.now() + 601_000;
    now = () => later;
    onTestFinished(() => {
      now = Date.now;
    });
    await expect(client.getOrganization({ id: "org_1" })).rejects.toMatchObject({
      code: Code.Unauthenticated,
      details: expect.stringContaining("expired at"),
    });
  });
});

describe("where certificates are required", () => {
  it("there is no connection without a verified one, whatever key there is", async () => {
    const { principalWith } = await startWith("required");
    for (const certificate of [
      {},
      selfSign({ names: ["publisher.internal"] }),
      server.issue({ names: ["publisher.internal"] }),
    ]) {
      await expect(principalWith(certificate, operatorKey)).rejects.toMatchObject({ code: Code.Unavailable });
    }
    expect(await principalWith(clients.issue({ names: ["publisher.internal"] }))).toMatchObject({ organizationId });
    const unlisted = clients.issue({ names: ["somebody.internal"] });
    await expect(principalWith(unlisted)).rejects.toMatchObject({ code: Code.Unauthenticated });
    expect(await principalWith(unlisted, operatorKey)).toMatchObject({ kind: "operator" });
  });

  it("the HTTP port asks nobody for a certificate", async () => {
    const { httpUrl } = await startWith("required");
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
    request(`${httpUrl}/readyz`, { ca: server.cert, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .once("error", reject)
      .end();
    expect(await promise).toBe(200);
  });
});

describe("both ports speak TLS 1.2 and later, and nothing before", () => {
  it.each<[SecureVersion, boolean]>([
    ["TLSv1", false],
    ["TLSv1.1", false],
    ["TLSv1.2", true],
    ["TLSv1.3", true],
  ])("%s", async (version, isSpoken) => {
    const { url, httpUrl } = await startWith("optional");
    for (const target of [url, httpUrl]) {
      const result = await handshake(target, version);
      if (isSpoken) expect(result).toEqual({ protocol: version });
      else expect(result).toEqual({ failure: expect.any(String) });
    }
  });
});

it("new connections see a renewed certificate and are checked against renewed authorities, and a broken one changes nothing", async () => {
  const { url, httpUrl, servers, principalWith } = await startWith("optional");
  const next = createAuthority();
  const nextIdentity = server.issue({ names: ["localhost"], commonName: "renewed" });
  const old = clients.issue({ names: ["publisher.internal"] });
  const renewed: ServerTls = { ...nextIdentity, clients: { ca: next.cert, isRequired: false } };
  for (const broken of [
    { ...renewed, key: serverIdentity.key },
    { ...renewed, cert: "nonsense" },
    { ...renewed, clients: { ca: "nonsense", isRequired: false } },
  ]) {
    expect(() => servers.renewTls(broken)).toThrow(expect.objectContaining({ reason: "CONFIG_INVALID" }));
    expect(await subjectOf(url)).toBe("localhost");
    expect(await subjectOf(httpUrl)).toBe("localhost");
    expect(await principalWith(old)).toMatchObject({ organizationId });
  }

  servers.renewTls(renewed);
  expect(await subjectOf(url)).toBe("renewed");
  expect(await subjectOf(httpUrl)).toBe("renewed");
  await expect(principalWith(old)).rejects.toMatchObject({ details: expect.stringContaining("not trusted") });
  expect(await principalWith(next.issue({ names: ["publisher.internal"] }))).toMatchObject({ organizationId });
  expect(await handshake(url, "TLSv1.1")).toEqual({ failure: expect.any(String) });
});

it.each(["TLSv1.2", "TLSv1.3"] as const)(
  "a resumed session of %s is its certificate's, and is worth nothing once the authority is another",
  async (version) => {
    const { url, servers, seen } = await startWith("optional");
    const publisher = clients.issue({ names: ["publisher.internal"] });
    const first = await callOverHttp2(url, { ...publisher, version });
    expect(first).toMatchObject({ status: 200, isResumed: false });
    const resumed = await callOverHttp2(url, { version, session: first.session });
    expect(resumed).toMatchObject({ status: 200, isResumed: true });
    expect(seen.map(({ actor }) => actor.id)).toEqual(["publisher.internal", "publisher.internal"]);

    servers.renewTls({ ...serverIdentity, clients: { ca: createAuthority().cert, isRequired: false } });
    const after = await callOverHttp2(url, { ...publisher, version, session: first.session });
    expect(after).toMatchObject({ status: 401, isResumed: false });
  },
);

it("authorities that are none are refused at the start, with the variable and the fix", async () => {
  const tls = { ...serverIdentity, clients: { ca: serverIdentity.key, isRequired: true } };
  await expect(startTestServers({ tls })).rejects.toMatchObject({
    reason: "CONFIG_INVALID",
    message: expect.stringMatching(/^TELLWIRE_GRPC_CLIENT_CA: .*PEM/),
  });
});

/** Servers behind the real interceptors, which remember whom they let through. */
async function startWith(mode: "optional" | "required") {
  const seen: Principal[] = [];
  const certificates = createClientCertificates({
    identities,
    organizations: { require: async () => {} },
    now: () => now(),
  });
  const authenticate = createAuthenticate([createOperatorKeys([operatorKey]), certificates.identify]);
  const servers = await startTestServers({
    http: localhost,
    grpc: localhost,
    tls: { ...serverIdentity, clients: { ca: clients.cert, isRequired: mode === "required" } },
    readPeer: createRequestPeer({ trustedProxies: [], newRequestId: () => "req_1" }),
    interceptors: [
      createErrorInterceptor({ newRequestId: () => "req_1", onServerError: () => {} }),
      createAuthInterceptor(createAdmission({ authenticate, callLimits: noCallLimits, openServices: new Set() })),
      (next) => async (request) => {
        seen.push(principalOf({ values: request.contextValues }));
        return await next(request);
      },
    ],
  });

  /** Whom a new connection with the certificate is taken for. */
  async function principalWith(certificate: Partial<Certificate>, key?: string): Promise<Principal> {
    const headers = key === undefined ? {} : { "x-api-key": key };
    using client = createGrpcJsClient(OrganizationService, servers.grpcUrl, headers, {
      ca: server.cert,
      ...certificate,
    });
    const before = seen.length;
    await client.getOrganization({ id: "org_1" });
    expect(seen).toHaveLength(before + 1);
    return seen[before]!;
  }

  return { servers, url: servers.grpcUrl, httpUrl: servers.httpUrl, seen, principalWith };
}

interface Call extends Partial<Certificate> {
  version: SecureVersion;
  /** Of an earlier connection. */
  session?: Buffer | undefined;
}

/** Calls a method on a new connection, and waits for the session that the server gives out for later ones. */
async function callOverHttp2(url: string, { version, ...tls }: Call) {
  const socket = connect({
    host: "localhost",
    port: Number(new URL(url).port),
    ca: server.cert,
    ALPNProtocols: ["h2"],
    minVersion: version,
    maxVersion: version,
    ...tls,
  });
  const given = new Promise<Buffer>((resolve) => socket.once("session", resolve));
  await once(socket, "secureConnect");
  const client = connectHttp2(url, { createConnection: () => socket });
  try {
    const stream = client.request({
      ":method": "POST",
      ":path": "/tellwire.v1.OrganizationService/GetOrganization",
      "content-type": "application/json",
    });
    stream.end('{"id":"org_1"}');
    const [headers] = await once(stream, "response");
    stream.resume();
    await once(stream, "close");
    const isResumed = socket.isSessionReused();
    return { status: headers[":status"] as number, isResumed, session: isResumed ? undefined : await given };
  } finally {
    client.destroy();
  }
}

/** The version of TLS that is agreed on, or why none is. */
async function handshake(
  url: string,
  version?: SecureVersion,
): Promise<{ protocol: string | null } | { failure: string }> {
  const { promise, resolve } = Promise.withResolvers<{ protocol: string | null } | { failure: string }>();
  const socket = connect({
    host: "localhost",
    port: Number(new URL(url).port),
    ca: server.cert,
    servername: "localhost",
    ALPNProtocols: ["h2"],
    // The client must be willing to speak what the server is to refuse.
    ...(version === undefined ? {} : { minVersion: version, maxVersion: version, ciphers: "DEFAULT:@SECLEVEL=0" }),
  });
  socket.once("secureConnect", () => resolve({ protocol: socket.getProtocol() }));
  socket.once("error", (error) => resolve({ failure: error.message }));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

async function subjectOf(url: string): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const options = { host: "localhost", port: Number(new URL(url).port), ca: server.cert, ALPNProtocols: ["h2"] };
  const socket = connect(options, () => resolve(socket.getPeerX509Certificate()?.subject.replace(/^CN=/, "")));
  socket.once("error", reject);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { OrganizationService } from "../../gen/tellwire/v1/organization_service_pb.ts";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { createAuthority } from "../outbound/certificate.ts";
import { createGrpcJsClient } from "../support/grpc-js-client.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { audience, startTokenIssuer, type TokenIssuer, tampered } from "../support/token-issuer.ts";
import { waitFor } from "../support/wait-for.ts";

const authority = createAuthority();
const clientAuthority = createAuthority();
const nodeOptions = { ca: authority.cert };
const dispatcher = new Agent({ connect: nodeOptions });
const folder = makeTemporaryFolder("identities");
let issuer: TokenIssuer;
let database: Awaited<ReturnType<typeof createTestDatabase>>;
let tellwire: TellwireProcess;
let organizationId: string;
let key: string;
/** Every token that was used: none may be in the log. */
const shown: string[] = [];

beforeAll(async () => {
  [issuer, database] = await Promise.all([startTokenIssuer(), createTestDatabase()]);
  const { cert, key: privateKey } = authority.issue({ names: ["localhost", "127.0.0.1"] });
  tellwire = await startTellwire(
    tellwireSettings({
      TELLWIRE_DATABASE_URL: database.url,
      TELLWIRE_LOG_LEVEL: "trace",
      TELLWIRE_TLS_CERT: write("cert.pem", cert),
      TELLWIRE_TLS_KEY: write("key.pem", privateKey),
      TELLWIRE_GRPC_CLIENT_CA: write("clients.pem", clientAuthority.cert),
      TELLWIRE_GRPC_CLIENT_IDENTITIES: "spiffe://example.com/billing=operator",
      TELLWIRE_JWT_ISSUER: issuer.issuer,
      TELLWIRE_JWT_JWKS_URL: issuer.jwksUrl,
      TELLWIRE_JWT_AUDIENCE: audience,
    }),
  );
  const operator = organizationsOf(tellwire.operatorKey);
  organizationId = (await operator.createOrganization({ organization: { name: "Acme" } })).organization!.id;
  key = (await operator.createApiKey({ organizationId, apiKey: { name: "backend" } })).key;
});
afterAll(async () => {
  await tellwire?.stop();
  await database.drop();
  await issuer.close();
  await dispatcher.close();
  folder.remove();
});

describe("a portal token", () => {
  it("opens its organization through every door", async () => {
    const { token } = await organizationsOf(key).createPortalToken({ organizationId, readOnly: true });
    expect(await throughEveryDoor(token)).toEqual(everyDoor("ok"));
  });

  it("that was changed opens nothing, through any door", async () => {
    const { token } = await organizationsOf(key).createPortalToken({ organizationId, readOnly: true });
    const forged = tampered(token, { scope: "webhooks:write" });
    expect(await throughEveryDoor(forged)).toEqual(everyDoor("unauthenticated"));
  });

  it("ends with its key", async () => {
    const operator = organizationsOf(tellwire.operatorKey);
    const made = await operator.createApiKey({ organizationId, apiKey: { name: "for the portal" } });
    const { token } = await organizationsOf(made.key).createPortalToken({ organizationId });
    expect(await throughEveryDoor(token)).toEqual(everyDoor("ok"));
    await operator.revokeApiKey({ organizationId, id: made.apiKey!.id });
    expect(await throughEveryDoor(token)).toEqual(everyDoor("unauthenticated"));
  });
});

describe("a token of another issuer", () => {
  it("opens the organization that it names through every door, for the scopes that it names", async () => {
    const good = { organization_id: parseId("organization", organizationId), scope: "webhooks:read" };
    expect(await throughEveryDoor(await issuer.token(good))).toEqual(everyDoor("ok"));
    const idle = await issuer.token({ organization_id: organizationId });
    expect(await throughEveryDoor(idle)).toEqual(everyDoor("permission denied"));
  });

  it("that has expired opens nothing, through any door", async () => {
    const token = await issuer.token({ organization_id: organizationId, scope: "webhooks:read", exp: 1_700_000_000 });
    expect(await throughEveryDoor(token)).toEqual(everyDoor("unauthenticated"));
  });

  it("cannot be told from a bad one while the issuer has never been reached, and is answered as unavailable", async () => {
    const away = await startTellwire(
      tellwireSettings({
        TELLWIRE_DATABASE_URL: database.url,
        TELLWIRE_JWT_ISSUER: issuer.issuer,
        TELLWIRE_JWT_JWKS_URL: "http://127.0.0.1:1/jwks.json",
        TELLWIRE_JWT_AUDIENCE: audience,
      }),
    );
    try {
      const token = await issuer.token({ organization_id: organizationId, scope: "webhooks:read" });
      expect(await throughEveryDoor(token, away)).toEqual(everyDoor("unavailable"));
      await waitFor(() => away.output().includes("TELLWIRE_JWT_JWKS_URL"), { what: "the line of the log" });
      expect(away.output()).not.toContain(token);
    } finally {
      await away.stop();
    }
  });
});

describe("a client's certificate", () => {
  it("is an operator's on the gRPC port, and can make portal tokens", async () => {
    const certificate = clientAuthority.issue({ names: ["spiffe://example.com/billing"] });
    const tls = { ca: authority.cert, ...certificate };
    using organizations = createGrpcJsClient(OrganizationService, tellwire.grpcUrl, {}, tls);
    const { token } = await organizations.createPortalToken({ organizationId, readOnly: true });
    expect(await throughEveryDoor(token)).toEqual(everyDoor("ok"));
  });

  it("that is not listed is refused with its reason", async () => {
    const tls = { ca: authority.cert, ...clientAuthority.issue({ names: ["somebody.internal"] }) };
    using organizations = createGrpcJsClient(OrganizationService, tellwire.grpcUrl, {}, tls);
    await expect(organizations.listOrganizations({})).rejects.toMatchObject({
      details: expect.stringContaining("somebody.internal"),
    });
  });

  it("means nothing on the HTTP port", async () => {
    const certificate = clientAuthority.issue({ names: ["spiffe://example.com/billing"] });
    const transport = createGrpcTransport({
      baseUrl: tellwire.httpUrl,
      nodeOptions: { ...nodeOptions, ...certificate },
    });
    expect(await rpc(transport)).toBe("unauthenticated");
  });
});

it("no token is in the log", async () => {
  // Then the last lines have come, too.
  await tellwire.stop();
  const log = tellwire.output();
  expect(log).toContain('"tellwire is up"');
  for (const token of shown) {
    expect(log).not.toContain(token);
    // Nor the part of it that would let anybody in.
    expect(log).not.toContain(token.split(".").at(-1));
  }
  expect(shown.length).toBeGreaterThan(7);
});

type Seen = "ok" | "unauthenticated" | "permission denied" | "unavailable";

const doors = [
  "REST, X-Api-Key",
  "REST, Bearer",
  "Connect",
  "gRPC-Web",
  "gRPC",
  "gRPC, grpc-js",
  "layer",
  "layers, X-Api-Key",
  "layers, Bearer",
  "verifik",
] as const;

function everyDoor(seen: Seen): Record<(typeof doors)[number], Seen> {
  return Object.fromEntries(doors.map((door) => [door, seen])) as Record<(typeof doors)[number], Seen>;
}

/** What a read of webhooks with the token comes to. */
async function throughEveryDoor(token: string, server = tellwire): Promise<Record<(typeof doors)[number], Seen>> {
  shown.push(token);
  const { httpUrl, grpcUrl } = server;
  const bearer = { authorization: `Bearer ${token}` };
  const interceptors = [withHeaders(bearer)];
  const uuid = parseId("organization", organizationId);
  using grpcJs = createGrpcJsClient(WebhookService, grpcUrl, { "x-api-key": token }, { ca: authority.cert });
  const seen: Record<(typeof doors)[number], Promise<Seen>> = {
    "REST, X-Api-Key": http(`${httpUrl}/v1/webhooks`, { "x-api-key": token }),
    "REST, Bearer": http(`${httpUrl}/v1/webhooks`, bearer),
    Connect: rpc(createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1", nodeOptions, interceptors })),
    "gRPC-Web": rpc(createGrpcWebTransport({ baseUrl: httpUrl, httpVersion: "1.1", nodeOptions, interceptors })),
    gRPC: rpc(createGrpcTransport({ baseUrl: grpcUrl, nodeOptions, interceptors })),
    "gRPC, grpc-js": grpcJs.listWebhooks({}).then(
      () => "ok" as const,
      (error: { code: number }) => seenCode(error.code),
    ),
    layer: http(`${httpUrl}/apps/${uuid}/webhooks`, bearer),
    "layers, X-Api-Key": http(`${httpUrl}/v1/webhook-endpoints`, { "x-api-key": token }),
    "layers, Bearer": http(`${httpUrl}/v1/webhook-endpoints`, bearer),
    verifik: http(`${httpUrl}/v2/webhooks`, bearer),
  };
  const outcomes = await Promise.all(doors.map(async (door) => [door, await seen[door]] as const));
  return Object.fromEntries(outcomes) as Record<(typeof doors)[number], Seen>;
}

async function http(url: string, headers: Record<string, string>): Promise<Seen> {
  const {
    statusCode,
    headers: answered,
    body,
  } = await request(url, { dispatcher, headers: { ...headers, accept: "application/json" } });
  const text = await body.text();
  // Layer has one word for all that is not its caller's fault.
  if (statusCode === 500 && answered["retry-after"] !== undefined) return "unavailable";
  const seen = { 200: "ok", 401: "unauthenticated", 403: "permission denied", 503: "unavailable" } as const;
  if (!(statusCode in seen)) throw new Error(`${url}: ${statusCode} ${text}`);
  return seen[statusCode as keyof typeof seen];
}

async function rpc(transport: Transport): Promise<Seen> {
  try {
    await createClient(WebhookService, transport).listWebhooks({});
    return "ok";
  } catch (error) {
    const refused = ConnectError.from(error);
    expect(refused.findDetails(ErrorInfoSchema)[0]?.domain).toBe("tellwire");
    return seenCode(refused.code);
  }
}

/** Of gRPC and Connect, which have the same numbers. */
function seenCode(code: number): Seen {
  const seen = { 7: "permission denied", 14: "unavailable", 16: "unauthenticated" } as const;
  if (!(code in seen)) throw new Error(`an answer with the code ${code}`);
  return seen[code as keyof typeof seen];
}

function organizationsOf(withKey: string) {
  const interceptors = [withHeaders({ "x-api-key": withKey })];
  const transport = createConnectTransport({
    baseUrl: tellwire.httpUrl,
    httpVersion: "1.1",
    nodeOptions,
    interceptors,
  });
  return createClient(OrganizationService, transport);
}

function withHeaders(headers: Record<string, string>): Interceptor {
  return (next) => (call) => {
    for (const [name, value] of Object.entries(headers)) call.header.set(name, value);
    return next(call);
  };
}

function write(name: string, text: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, text);
  return path;
}

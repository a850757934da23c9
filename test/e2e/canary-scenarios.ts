import { randomBytes } from "node:crypto";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { connect, headers as natsHeaders } from "@nats-io/transport-node";
import { EventService } from "../../gen/tellwire/v1/event_service_pb.ts";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import { generatePrivateKey } from "../../src/domain/signing-key.ts";
import { storedAttempts } from "../../src/store/sql/stored-attempts.ts";
import { createGrpcJsClient } from "../support/grpc-js-client.ts";
import { patienceMs } from "../support/nats.ts";
import { waitFor } from "../support/wait-for.ts";
import { type CanaryWorld, special } from "./canary-world.ts";
import type { Manner } from "./hostile-receiver.ts";

/** Secrets and private keys of every form, good and bad, at every door that takes one. */
export async function useSecrets(world: CanaryWorld): Promise<void> {
  const { canary, canaries, operator, organization, receiver } = world;
  const base64 = (name: string, bytes: number): string => {
    const value = randomBytes(bytes);
    canaries.add(name, value);
    return value.toString("base64");
  };
  const privateKey = generatePrivateKey(randomBytes);
  canaries.add("a given private key", Buffer.from(privateKey.slice(5), "base64").subarray(0, 32));
  const bad = [
    `whsec_${base64("a secret that is too short", 16)}`,
    `whsec_${base64("a secret that is too long", 80)}`,
    `whsec_${base64("a secret in bad base64", 32)}!`,
    `whsk_${base64("a private key of half the length", 32)}`,
    `whsk_${base64("a private key whose halves do not fit", 64)}`,
    canary("a secret without a prefix"),
    `${canary("a secret with U+0000")}\u0000`,
  ];
  const good = [`whsec_${base64("a given secret", 32)}`, privateKey];
  const id = (await create(world, "echo", {})).id;
  const took = new Set<string>();
  for (const signingSecret of [...bad, ...good]) {
    const wanted = { url: receiver.url("echo"), eventTypes: ["*"], signingSecret };
    await world.http("POST", "/v1/webhooks", { headers: organization.headers, body: wanted });
    const rotation = { headers: organization.headers, body: { signingSecret } };
    await world.http("POST", `/v1/webhooks/${id}:rotateSecret`, rotation);
    await world.http("PATCH", `/v1/webhooks/${id}`, { headers: organization.headers, body: { signingSecret } });
    const imported = { ...wanted, id: crypto.randomUUID(), organizationId: organization.id };
    const previousSecrets = [{ signingSecret, expireTime: "2100-01-01T00:00:00Z" }];
    for (const status of ["WEBHOOK_STATUS_ACTIVE", "WEBHOOK_STATUS_UNSPECIFIED"]) {
      const imports = [{ webhook: { ...imported, status }, previousSecrets }];
      const answer = await world.http("POST", "/v1/webhooks:import", { headers: operator, body: { imports } });
      if (answer.text.includes("REFUSED")) world.keep("a refused import", answer.text);
    }
    for (const format of ["LAYERS", "LAYER_1_0", "VERIFIK"]) {
      const webhook = { ...wanted, format: `WEBHOOK_FORMAT_${format}` };
      await world.http("POST", "/v1/webhooks", { headers: organization.headers, body: webhook });
    }
    for (const system of await useDialects(world, signingSecret)) took.add(system);
    for (const [door, client] of rpcDoors(world, organization.headers)) {
      await world.rpc(door, client.webhooks.rotateWebhookSecret({ id, signingSecret }));
      await world.rpc(door, client.webhooks.createWebhook({ webhook: wanted }));
    }
  }
  await world.http("POST", `/v1/webhooks/${id}:rotateSecret`, {
    headers: organization.headers,
    body: { signingAlgorithm: "SIGNING_ALGORITHM_ED25519" },
  });
  // Else the search would find nothing in what was never read.
  if (took.size < 2) throw new Error(`of the other systems ${[...took].join() || "none"} took a secret`);
}

/** Returns which of the systems took the secret. */
async function useDialects({ http, organization, receiver }: CanaryWorld, secret: string): Promise<string[]> {
  const { headers } = organization;
  const layer = { ...headers, accept: "application/vnd.layer.webhooks+json; version=3.0" };
  const path = `/apps/${organization.uuid}/webhooks`;
  const target = { target_url: receiver.url("echo"), event_types: ["message.sent"] };
  const ofLayer = await http("POST", path, { headers: layer, body: { ...target, secret } });
  await http("POST", path, { headers: layer, body: { ...target, secret, version: "3.0" } });
  await http("POST", path, { headers: layer, body: { ...target, secret: [secret] } });
  const named = { url: receiver.url("echo"), name: `a${randomBytes(4).toString("hex")}`, isActive: true };
  const ofVerifik = await http("POST", "/v2/webhooks", { headers, body: { ...named, secret } });
  await http("POST", "/v2/webhooks", { headers, body: { ...named, secret: { secret } } });
  await http("POST", "/v1/webhook-endpoints", { headers, body: { url: receiver.url("echo"), events: [], secret } });
  const answers = Object.entries({ Layer: ofLayer, Verifik: ofVerifik });
  return answers.filter(([, { status }]) => status < 300).map(([name]) => name);
}

/** Keys that open nothing, at every door, in every header that a key is read from. */
export async function useWrongKeys(world: CanaryWorld): Promise<void> {
  const { canary, http } = world;
  const wrong = canary("a wrong key");
  const shapes = [
    { authorization: `Bearer ${wrong}` },
    { authorization: `Bearer twk_${canary("a wrong API key")}` },
    { authorization: `Bearer twp_${canary("a wrong portal token")}` },
    { authorization: `Bearer ${jwt(canary("a claim of a token"))}` },
    { authorization: `Basic ${Buffer.from(`user:${canary("a basic password")}`).toString("base64")}` },
    { authorization: `Bearer ${wrong} ${wrong}` },
    { "x-api-key": canary("a wrong key as X-Api-Key") },
    { authorization: `Bearer ${world.portalToken}` },
    { authorization: `Bearer ${world.portalToken}x` },
    { "x-api-key": "a".repeat(20_000) + wrong },
  ];
  const paths = ["/v1/webhooks", "/v2/webhooks", `/apps/${world.organization.uuid}/webhooks`, "/v1/webhook-endpoints"];
  for (const headers of shapes) {
    for (const path of [...paths, "/metrics", "/healthz", "/nowhere"]) await http("GET", path, { headers });
    for (const [door, client] of rpcDoors(world, headers)) {
      await world.rpc(door, client.webhooks.listWebhooks({}));
    }
  }
}

/** Header values and URLs with credentials in them, good and bad. */
export async function useHeaders(world: CanaryWorld): Promise<void> {
  const { canary, organization, receiver } = world;
  const bad = [
    { headers: { authorization: `Bearer ${canary("a header value beyond ASCII")}é` } },
    { headers: { authorization: `Bearer ${canary("a header value with a line break")}\r\nx: y` } },
    { headers: { authorization: `${canary("a header value that is too long")}${"a".repeat(5_000)}` } },
    { headers: { "bad name": canary("the value of a bad header") } },
    { url: `https://user:${canary("a password in a URL")}@example.com/` },
    { url: `https://10.0.0.1/?token=${canary("a token in a refused URL")}` },
    { config: { token: canary("a value in a config that is too long"), more: "a".repeat(20_000) } },
  ];
  const { id } = await create(world, "echo", {});
  for (const fields of bad) {
    const body = { url: receiver.url("echo"), eventTypes: ["*"], ...fields };
    await world.http("POST", "/v1/webhooks", { headers: organization.headers, body });
    await world.http("PATCH", `/v1/webhooks/${id}`, { headers: organization.headers, body: fields });
    for (const [door, client] of rpcDoors(world, organization.headers)) {
      await world.rpc(door, client.webhooks.createWebhook({ webhook: body }));
    }
  }
}

/** Payloads that arrive, and bodies that nobody can read, at every door. */
export async function publish(world: CanaryWorld): Promise<void> {
  const { http, organization, canary } = world;
  const { headers } = organization;
  const data = { [canary("a payload's key")]: payload(world) };
  await http("POST", "/v1/events", { headers, body: { type: "order.paid", data } });
  await http("POST", "/v1/events:batch", {
    headers,
    body: {
      events: [
        { type: "order.paid", data },
        { type: "a b", data },
      ],
    },
  });
  const token = canary("a payload in a body that is no JSON");
  const bodies = [
    `{"type":"order.paid","data":${token}}`,
    `{"type":"order.paid","data":"${token}`,
    `{"type":"order.paid","data":"${token}\u0001"}`,
    `"${token}"`,
    `[${JSON.stringify(token)}]`,
    `{"type":"order.paid","dataJson":"${token}!"}`,
    `{"type":"order.paid","occurTime":"${token}","data":1}`,
    `{"type":{"a":"${token}"},"projectId":["${token}"],"data":1}`,
    `{"type":"order.paid","data":"${token}","data":"${token}"}`,
    `{"type":"order.paid","data":${"[".repeat(200)}"${token}"${"]".repeat(200)}}`,
    `{"type":"order.paid","data":"${token}${"a".repeat(300_000)}"}`,
  ];
  const paths = ["/v1/events", "/v2/webhooks", `/apps/${organization.uuid}/webhooks`, "/v1/webhook-endpoints"];
  for (const body of bodies) {
    for (const path of paths) await http("POST", path, { headers, body });
    const connectBody = body.startsWith("{") ? `{"event":${body}}` : body;
    const method = "/tellwire.v1.EventService/PublishEvent";
    await http("POST", method, { headers, body: connectBody });
    await http("POST", method, { headers: { ...headers, ...grpcWebJson }, body: envelope(connectBody) });
  }
  for (const [door, client] of rpcDoors(world, headers)) {
    const dataJson = Buffer.from(`{"a":${canary("a payload in data_json that is no JSON")}}`);
    await world.rpc(door, client.events.publishEvent({ event: { type: "order.paid", dataJson } }));
    const tooLong = Buffer.from(JSON.stringify(payload(world) + "a".repeat(300_000)));
    await world.rpc(door, client.events.publishEvent({ event: { type: "order.paid", dataJson: tooLong } }));
  }
}

/** Clients of gRPC-Web send protobuf; a server takes JSON too. */
const grpcWebJson = { "content-type": "application/grpc-web+json" };

/** A byte of flags, the length, the message. */
function envelope(message: string): Buffer {
  const bytes = Buffer.from(message);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** The same by NATS. Returns the headers that say why something was rejected. */
export async function publishByNats(world: CanaryWorld): Promise<void> {
  const { organization, canary, nats } = world;
  const connection = await connect({ servers: nats.url, timeout: patienceMs });
  const why: string[] = [];
  connection.subscribe("tellwire.rejected.>", {
    callback: (_error, message) => {
      const lines = [...(message.headers ?? [])].map(([name, values]) => `${name}: ${values.join()}`);
      why.push(`${message.subject}\n${lines.join("\n")}`);
    },
  });
  const subject = `tellwire.events.${organization.id}.order.paid`;
  const token = canary("a payload on NATS that is no JSON");
  const cloudEvent = natsHeaders();
  cloudEvent.set("content-type", "application/cloudevents+json");
  connection.publish(subject, JSON.stringify(payload(world)));
  const bad: [subject: string, body: string, headers?: ReturnType<typeof natsHeaders>][] = [
    [subject, `{"a":${token}}`],
    [subject, token],
    [subject, `"${token}`],
    [subject, JSON.stringify(token + "a".repeat(300_000))],
    [`tellwire.events.${crypto.randomUUID()}.order.paid`, JSON.stringify(token)],
    ["tellwire.events.nobody.order.paid", JSON.stringify(token)],
    [subject, `{"specversion":"1.0","data":${token}}`, cloudEvent],
    [subject, JSON.stringify({ specversion: token, id: token, source: token, type: token, data: token }), cloudEvent],
    [
      subject,
      JSON.stringify({ specversion: "1.0", id: "1", source: "/", type: "order.paid", data_base64: token }),
      cloudEvent,
    ],
  ];
  for (const [to, body, headers] of bad) connection.publish(to, body, headers === undefined ? {} : { headers });
  await waitFor(() => why.length >= bad.length, { what: "every rejection" });
  for (const text of why) world.keep("the headers of a rejected message", text);
  await connection.close();
}

/** Every manner of a receiver, with a secret header, in every format, by events, tests and verifications. */
export async function deliver(world: CanaryWorld): Promise<void> {
  const { http, organization, receiver, query } = world;
  const manners: Manner[] = ["echo", "fail", "busy", "redirect", "garbage", "headers", "length", "silence", "gone"];
  const formats = ["STANDARD", "CLOUDEVENTS_STRUCTURED", "CLOUDEVENTS_BINARY"];
  const ids: string[] = [];
  for (const manner of manners) {
    for (const format of formats) ids.push((await create(world, manner, { format: `WEBHOOK_FORMAT_${format}` })).id);
  }
  const { id: handshake } = await create(world, "handshake", {}, "VERIFICATION_METHOD_CLOUDEVENTS");
  const { id: challenge } = await create(world, "fail", {}, "VERIFICATION_METHOD_CHALLENGE");
  const before = receiver.requests();
  await http("POST", "/v1/events", {
    headers: organization.headers,
    body: { type: "order.paid", data: payload(world) },
  });
  for (const id of [...ids, handshake, challenge]) {
    const data = payload(world);
    await http("POST", `/v1/webhooks/${id}:test`, { headers: organization.headers, body: { data } });
    const verified = await http("POST", `/v1/webhooks/${id}:verify`, { headers: world.operator, body: {} });
    if (verified.text.includes("failure")) world.keep("a failed verification", withoutHeaders(verified.text));
  }
  await waitFor(() => receiver.requests() > before + 2 * ids.length, { what: "the requests" });
  await waitFor(async () => (await query("select 1 from scheduled_delivery")).length === 0, {
    what: "every delivery to end",
  });
  const health = await query<{ text: string }>(`
    select concat_ws(' ', status_reason, last_error) as text from webhook left join webhook_health on webhook_id = id
    union all select concat_ws(' ', error, error_message) from (${storedAttempts}) a
    union all select status_reason from delivery`);
  for (const { text } of health) world.keep("what a webhook's owner is told of a failure", text);
  for (const path of ["/v1/webhooks", "/v1/deliveries", "/v1/events"]) {
    await http("GET", path, { headers: organization.headers });
  }
}

/** A webhook that is active at once, with a secret header and a secret in its URL's query. */
async function create(
  { http, operator, organization, receiver, canary }: CanaryWorld,
  manner: Manner,
  fields: object,
  method = "VERIFICATION_METHOD_VOUCHED",
): Promise<{ id: string }> {
  const { text } = await http("POST", "/v1/webhooks", {
    headers: operator,
    body: {
      organizationId: organization.id,
      url: `${receiver.url(manner)}?token=${canary("a token in a URL")}`,
      eventTypes: ["order.*"],
      verification: { method },
      headers: { authorization: `Bearer ${canary("a webhook's Authorization")}`, "x-key": canary("a webhook's X-Key") },
      config: { token: canary("a webhook's config") },
      ...fields,
    },
  });
  const { webhook } = JSON.parse(text) as { webhook?: { id: string } };
  if (webhook === undefined) throw new Error(text);
  return webhook;
}

/** What an answer tells beside the webhook itself, whose headers its owner may see. */
function withoutHeaders(text: string): string {
  return String((JSON.parse(text) as { failure?: string }).failure);
}

/** A text with characters that each form writes in its own way. */
function payload({ canaries, canary }: CanaryWorld): string {
  const text = `${canary("a payload")}${special}${canary("a payload")}`;
  canaries.add("a payload", text);
  return text;
}

function jwt(claim: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256", kid: "a" })}.${part({ sub: claim })}.${Buffer.alloc(32).toString("base64url")}`;
}

function rpcDoors({ tellwire }: CanaryWorld, headers: Record<string, string>) {
  const interceptors: Interceptor[] = [
    (next) => (request) => {
      for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
      return next(request);
    },
  ];
  const http = { baseUrl: tellwire.httpUrl, httpVersion: "1.1", interceptors } as const;
  const transports = [
    ["Connect with JSON", createConnectTransport({ ...http, useBinaryFormat: false })],
    ["Connect", createConnectTransport(http)],
    ["gRPC-Web", createGrpcWebTransport(http)],
    ["gRPC", createGrpcTransport({ baseUrl: tellwire.grpcUrl, interceptors })],
  ] as const;
  return transports.map(
    ([door, transport]) =>
      [
        door,
        { webhooks: createClient(WebhookService, transport), events: createClient(EventService, transport) },
      ] as const,
  );
}

/** The calls of grpc-js, whose errors show what is in the trailers. */
export async function callByGrpcJs(world: CanaryWorld): Promise<void> {
  const { canary, organization, tellwire } = world;
  for (const metadata of [{ "x-api-key": canary("a wrong key by grpc-js") }, organization.headers]) {
    using webhooks = createGrpcJsClient(WebhookService, tellwire.grpcUrl, metadata);
    const signingSecret = canary("a bad secret by grpc-js");
    const webhook = { url: "https://example.com/", eventTypes: ["*"], signingSecret };
    await world.rpc("grpc-js", webhooks.createWebhook({ webhook }));
  }
}

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Webhook as Verifier } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DeliveryStatus, DeliveryStatusSchema } from "../../gen/tellwire/v1/delivery_pb.ts";
import { DeliveryService } from "../../gen/tellwire/v1/delivery_service_pb.ts";
import { EventService } from "../../gen/tellwire/v1/event_service_pb.ts";
import { WebhookStatusSchema } from "../../gen/tellwire/v1/webhook_pb.ts";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import { createGrpcJsClient } from "../support/grpc-js-client.ts";
import { type PrivateNats, startNats } from "../support/nats.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

/** What the three ways have in common: create, verify, publish, see the delivery. */
interface Door {
  create(url: string): Promise<{ id: string; secret: string }>;
  verify(id: string): Promise<{ verified: boolean; status: string }>;
  publish(number: number): Promise<string>;
  /** Null while there is none. */
  delivery(webhookId: string, eventId: string): Promise<Seen | null>;
}

interface Seen {
  status: string;
  attempts: { number: number; statusCode: number; responseBody: string }[];
}

let nats: PrivateNats;
let database: TestDatabase;
let tellwire: TellwireProcess;
let receiver: Receiver;
let key: string;

beforeAll(async () => {
  [nats, database] = await Promise.all([startNats(), createTestDatabase()]);
  tellwire = await startTellwire(
    tellwireSettings({ TELLWIRE_DATABASE_URL: database.url, TELLWIRE_NATS_URL: nats.url }),
  );
  receiver = await startReceiver((request) =>
    request.method === "POST" ? { status: 200, body: "thanks" } : echoChallenge(request),
  );
  const operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  const { id } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Doors" });
  ({ key } = await operator<{ key: string }>("POST", `/v1/organizations/${id}/api-keys`, { name: "test" }));
});
afterAll(async () => {
  await receiver?.close();
  await tellwire?.stop();
  await nats?.stop();
  await database?.drop();
});

const doors: [name: string, open: () => Door & AsyncDisposable][] = [
  ["@grpc/grpc-js over h2c", grpcJsDoor],
  [
    "Connect",
    () => connectDoor(createConnectTransport({ baseUrl: tellwire.httpUrl, httpVersion: "1.1", interceptors })),
  ],
  [
    "gRPC-Web",
    () => connectDoor(createGrpcWebTransport({ baseUrl: tellwire.httpUrl, httpVersion: "1.1", interceptors })),
  ],
  ["Connect's gRPC client", () => connectDoor(createGrpcTransport({ baseUrl: tellwire.grpcUrl, interceptors }))],
  ["REST", () => restDoor(createRestClient(tellwire.httpUrl, key))],
  ["curl on REST", () => restDoor(createCurlClient(tellwire.httpUrl, key))],
];

describe("create, verify, publish, see the delivery", () => {
  const results: unknown[] = [];

  test.each(doors)("through %s", async (_name, open) => {
    await using door = open();
    const { id, secret } = await door.create(receiver.url);
    expect(await door.verify(id)).toEqual({ verified: true, status: "ACTIVE" });
    const before = receiver.requests.length;
    const eventId = await door.publish(before);
    const seen = await waitFor(() => door.delivery(id, eventId), { what: "the delivery" });

    const sent = receiver.requests
      .slice(before)
      .filter(({ method }) => method === "POST")
      .find(({ body, headers }) => verifies(secret, body, headers as Record<string, string>));
    expect(sent?.headers["webhook-id"]).toBe(eventId);
    const { type, data } = JSON.parse(sent?.body ?? "{}") as { type: string; data: { number: number; name: string } };
    expect(data.number).toBe(before);
    results.push({ seen, type, name: data.name });
  });

  test("the results agree", () => {
    expect(results).toHaveLength(doors.length);
    for (const result of results) {
      expect(result).toEqual({
        seen: { status: "DELIVERED", attempts: [{ number: 1, statusCode: 200, responseBody: "thanks" }] },
        type: "order.paid",
        name: "Zoë ✓",
      });
    }
  });
});

function verifies(secret: string, body: string, headers: Record<string, string>): boolean {
  try {
    new Verifier(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

const interceptors: Interceptor[] = [
  (next) => (request) => {
    request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  },
];

type Clients = {
  webhooks: Pick<Client<typeof WebhookService>, "createWebhook" | "verifyWebhook">;
  events: Pick<Client<typeof EventService>, "publishEvent">;
  deliveries: Pick<Client<typeof DeliveryService>, "listDeliveries" | "getDelivery">;
};

function connectDoor(transport: Parameters<typeof createClient>[1]): Door & AsyncDisposable {
  return rpcDoor(
    {
      webhooks: createClient(WebhookService, transport),
      events: createClient(EventService, transport),
      deliveries: createClient(DeliveryService, transport),
    },
    () => {},
  );
}

function grpcJsDoor(): Door & AsyncDisposable {
  const metadata = { "x-api-key": key };
  const webhooks = createGrpcJsClient(WebhookService, tellwire.grpcUrl, metadata);
  const events = createGrpcJsClient(EventService, tellwire.grpcUrl, metadata);
  const deliveries = createGrpcJsClient(DeliveryService, tellwire.grpcUrl, metadata);
  const clients = {
    webhooks: { createWebhook: webhooks.createWebhook, verifyWebhook: webhooks.verifyWebhook },
    events: { publishEvent: events.publishEvent },
    deliveries: { listDeliveries: deliveries.listDeliveries, getDelivery: deliveries.getDelivery },
  } as unknown as Clients;
  return rpcDoor(clients, () => {
    for (const client of [webhooks, events, deliveries]) {
      client[Symbol.dispose]();
    }
  });
}

function rpcDoor({ webhooks, events, deliveries }: Clients, close: () => void): Door & AsyncDisposable {
  return {
    async create(url) {
      const { webhook, signingSecret } = await webhooks.createWebhook({ webhook: { url, eventTypes: ["order.*"] } });
      return { id: webhook?.id ?? "", secret: signingSecret };
    },
    async verify(id) {
      const { verified, webhook } = await webhooks.verifyWebhook({ id });
      return { verified, status: WebhookStatusSchema.value[webhook?.status ?? 0]?.localName ?? "" };
    },
    async publish(number) {
      const dataJson = Buffer.from(JSON.stringify({ number, name: "Zoë ✓" }));
      return (await events.publishEvent({ event: { type: "order.paid", dataJson } })).eventId;
    },
    async delivery(webhookId, eventId) {
      const listed = await deliveries.listDeliveries({ webhookId, eventId });
      const [found] = listed.deliveries;
      if (found === undefined || found.status === DeliveryStatus.SCHEDULED) {
        return null;
      }
      const { delivery } = await deliveries.getDelivery({ id: found.id });
      return {
        status: DeliveryStatusSchema.value[delivery?.status ?? 0]?.localName ?? "",
        attempts: (delivery?.attempts ?? []).map(({ number, statusCode, responseBody }) => ({
          number,
          statusCode,
          responseBody,
        })),
      };
    },
    [Symbol.asyncDispose]: async () => close(),
  };
}

function restDoor(rest: RestClient): Door & AsyncDisposable {
  return {
    async create(url) {
      const body = { url, eventTypes: ["order.*"] };
      const created = await rest<{ webhook: { id: string }; signingSecret: string }>("POST", "/v1/webhooks", body);
      return { id: created.webhook.id, secret: created.signingSecret };
    },
    async verify(id) {
      type Answer = { verified: boolean; webhook: { status: string } };
      const { verified, webhook } = await rest<Answer>("POST", `/v1/webhooks/${id}:verify`, {});
      return { verified, status: webhook.status.replace("WEBHOOK_STATUS_", "") };
    },
    async publish(number) {
      const event = { type: "order.paid", data: { number, name: "Zoë ✓" } };
      return (await rest<{ eventId: string }>("POST", "/v1/events", event)).eventId;
    },
    async delivery(webhookId, eventId) {
      type Listed = { deliveries?: { id: string; status: string }[] };
      const listed = await rest<Listed>("GET", `/v1/deliveries?webhookId=${webhookId}&event_id=${eventId}`);
      const found = listed.deliveries?.[0];
      if (found === undefined || found.status === "DELIVERY_STATUS_SCHEDULED") {
        return null;
      }
      const delivery = await rest<Seen>("GET", `/v1/deliveries/${found.id}`);
      return {
        status: delivery.status.replace("DELIVERY_STATUS_", ""),
        attempts: delivery.attempts.map(({ number, statusCode, responseBody }) => ({
          number,
          statusCode,
          responseBody,
        })),
      };
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** The same with the program itself. */
function createCurlClient(baseUrl: string, key: string): RestClient {
  return async (method, path, body) => {
    const json = body === undefined ? [] : ["-H", "content-type: application/json", "-d", JSON.stringify(body)];
    const parameters = ["-sS", "--fail-with-body", "-X", method, "-H", `authorization: Bearer ${key}`, ...json];
    const { stdout } = await promisify(execFile)("curl", [...parameters, `${baseUrl}${path}`]);
    return JSON.parse(stdout);
  };
}

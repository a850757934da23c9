import type { ConnectRouter } from "@connectrpc/connect";
import { pino } from "pino";
import { WebhookFormat, WebhookStatus } from "../gen/tellwire/v1/webhook_pb.ts";
import { WebhookService } from "../gen/tellwire/v1/webhook_service_pb.ts";
import { createServers } from "../src/api/servers/create-servers.ts";
import { createConnectCaller } from "../src/gateway/connect-caller.ts";
import { createGateway } from "../src/gateway/gateway.ts";
import { createRequestPeer } from "../src/request-peer.ts";

// The server under measurement, as a process of its own: the product's servers and gateway over an implementation that costs nothing, so
// that what is left is the cost of the protocol. It tells its address, and its CPU time whenever it is asked.

const webhook = {
  id: "wh_01k3a9q7j8f0vb2m4n6p8r1s3t",
  organizationId: "org_01k3a9q7j8f0vb2m4n6p8r1s3t",
  name: "orders",
  description: "Orders for the shop",
  url: "https://shop.example.com/hooks/orders",
  eventTypes: ["order.*", "invoice.paid"],
  status: WebhookStatus.ACTIVE,
  format: WebhookFormat.STANDARD,
  headers: { "x-shop": "7" },
  createTime: { seconds: 1_767_225_600n, nanos: 0 },
  updateTime: { seconds: 1_767_225_601n, nanos: 500_000_000 },
  etag: "4f1c2d",
};

function routes(router: ConnectRouter): void {
  router.service(WebhookService, {
    getWebhook: () => ({ webhook }),
    createWebhook: (request) => ({ ...(request.webhook && { webhook: request.webhook }), signingSecret: "whsec_x" }),
  });
}

const maxBodyBytes = 4 * 1024 * 1024;
const gateway = createGateway({
  services: [WebhookService],
  caller: createConnectCaller({ routes }),
  maxBodyBytes,
  errorDomain: "tellwire",
  onInternalError: (error) => {
    throw error;
  },
});
const servers = createServers({
  routes,
  interceptors: [],
  readPeer: createRequestPeer({ trustedProxies: [], newRequestId: () => "req_bench" }),
  http: { host: "127.0.0.1", port: 0 },
  grpc: { host: "127.0.0.1", port: 0 },
  maxBodyBytes,
  gateway: gateway.handle,
  health: { ready: async () => ({ ok: true, checks: {} }) },
  log: pino({ level: "error" }),
});
const { httpUrl } = await servers.listen();
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicros: user + system });
});
process.once("disconnect", () => void servers.close({ graceMs: 0 }));
process.send?.({ url: httpUrl });

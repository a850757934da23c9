import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { DeliveryService } from "../../../gen/tellwire/v1/delivery_service_pb.ts";
import { EventService } from "../../../gen/tellwire/v1/event_service_pb.ts";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { WebhookService } from "../../../gen/tellwire/v1/webhook_service_pb.ts";

/** The public API as one caller sees it. */
export type DemoApi = ReturnType<typeof connectDemoApi>;

/** Connect clients of the API at `baseUrl`, with a key. */
export function connectDemoApi(baseUrl: string, key: string) {
  const authorize: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
  const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", interceptors: [authorize] });
  return {
    organizations: createClient(OrganizationService, transport),
    webhooks: createClient(WebhookService, transport),
    events: createClient(EventService, transport),
    deliveries: createClient(DeliveryService, transport),
  };
}

import { TellwireError } from "../../errors.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import type { Dialect, HeaderReader } from "../dialect.ts";
import { createLayersDeliveryHandlers } from "./layers-delivery-handlers.ts";
import { createLayersEndpointHandlers } from "./layers-endpoint-handlers.ts";
import { describeLayersFailure } from "./layers-failures.ts";

/** The webhook API of Layers, `/v1/webhook-endpoints` and `/v1/webhook-deliveries`, on webhooks of the format LAYERS. */
export function createLayersDialect(useCases: UseCases): Dialect {
  const endpoints = createLayersEndpointHandlers(useCases);
  const deliveries = createLayersDeliveryHandlers(useCases);
  return {
    name: "layers",
    claims: (path) => /^\/v1\/webhook-(endpoints|deliveries)(\/|$)/.test(path),
    routes: [
      {
        method: "POST",
        path: collection,
        scope: "webhooks:write",
        callsReceiver: true,
        idempotent: true,
        handle: endpoints.create,
      },
      { method: "GET", path: collection, scope: "webhooks:read", handle: endpoints.list },
      { method: "GET", path: member, scope: "webhooks:read", handle: endpoints.get },
      { method: "PATCH", path: member, scope: "webhooks:write", callsReceiver: true, handle: endpoints.update },
      { method: "DELETE", path: member, scope: "webhooks:write", handle: endpoints.delete },
      { method: "POST", path: `${member}/rotate-secret`, scope: "secrets:rotate", handle: endpoints.rotateSecret },
      { method: "POST", path: `${member}/test`, scope: "webhooks:write", callsReceiver: true, handle: deliveries.test },
      { method: "GET", path: `${member}/deliveries`, scope: "deliveries:read", handle: deliveries.list },
      {
        method: "POST",
        path: "/v1/webhook-deliveries/{deliveryId}/replay",
        scope: "deliveries:retry",
        handle: deliveries.replay,
      },
    ],
    keyOf,
    // Nothing in this system's requests names an organization: the key has to.
    precondition: ({ principal }) =>
      principal.kind === "operator"
        ? {
            kind: "refused",
            error: new TellwireError("ORGANIZATION_REQUIRED", "an operator's key has no organization"),
          }
        : undefined,
    describe: describeLayersFailure,
  };
}

const collection = "/v1/webhook-endpoints";
const member = `${collection}/{id}`;

/** X-Api-Key wins where both are sent. */
function keyOf(header: HeaderReader): string | undefined {
  return header("x-api-key")?.trim() || /^Bearer +(\S+)$/i.exec(header("authorization")?.trim() ?? "")?.[1];
}

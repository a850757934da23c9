import { parseId, publicId } from "../../domain/ids.ts";
import { TellwireError } from "../../errors.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import type { DialectRoute } from "../dialect.ts";
import { parseFields } from "../parse-fields.ts";
import { queryValues } from "../query-values.ts";
import { deliveryOf, statusesShownAs } from "./layers-delivery.ts";
import { ok, requireEndpoint, targetOf } from "./layers-endpoint-handlers.ts";
import { deliveriesQuery, testBody } from "./layers-requests.ts";

type Handle = DialectRoute["handle"];

/** What endpoints are sent: a test, the log of it all, an old delivery once more. */
export interface LayersDeliveryHandlers {
  test: Handle;
  list: Handle;
  replay: Handle;
}

export function createLayersDeliveryHandlers({ webhooks, deliveries }: UseCases): LayersDeliveryHandlers {
  return {
    async test(request) {
      const { payload } = parseFields(testBody, request.body);
      const target = targetOf(await requireEndpoint(webhooks, request));
      const { id: endpointId, organizationId } = target;
      const data = payload ?? { message: "This is a test event. Your endpoint works.", endpointId, organizationId };
      const sent = await webhooks.send(request.principal, {
        ...target,
        eventType: "test.ping",
        dataJson: JSON.stringify(data),
      });
      return ok({
        eventId: publicId("event", sent.eventId),
        deliveryId: sent.deliveryId,
        scheduledAt: sent.scheduledAt.toISOString(),
      });
    },

    async list(request) {
      const { eventType, status, cursor, limit } = parseFields(deliveriesQuery, queryValues(request.query));
      const target = targetOf(await requireEndpoint(webhooks, request));
      const statuses = status === undefined ? undefined : statusesShownAs(status);
      if (statuses?.length === 0) return ok({ items: [], nextCursor: null });
      const page = await deliveries.log(
        request.principal,
        { ...target, eventType, statuses: statuses ?? [] },
        { pageSize: limit, pageToken: cursor },
      );
      return ok({ items: page.items.map(deliveryOf), nextCursor: page.nextPageToken || null });
    },

    async replay({ principal, params }) {
      const id = parseId("delivery", params.deliveryId ?? "");
      if (id === undefined) throw deliveryNotFound();
      const { delivery } = await deliveries.get(principal, { id, organizationId: undefined });
      const { organizationId } = delivery;
      const { webhook } = await webhooks.get(principal, { id: delivery.webhookId, organizationId });
      if (webhook.format !== "LAYERS") throw deliveryNotFound();
      const { deliveryId, scheduledAt } = await deliveries.replay(principal, { id, organizationId });
      return ok({
        originalDeliveryId: id,
        replayDeliveryId: deliveryId,
        scheduledAt: scheduledAt.toISOString(),
      });
    },
  };
}

function deliveryNotFound(): TellwireError {
  return new TellwireError("DELIVERY_NOT_FOUND", "there is no such delivery");
}

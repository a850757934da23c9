import type { ServiceImpl } from "@connectrpc/connect";
import { DeliveryStatus } from "../../../gen/tellwire/v1/delivery_pb.ts";
import type { DeliveryService } from "../../../gen/tellwire/v1/delivery_service_pb.ts";
import type { DeliveryTarget } from "../../usecases/delivery-record.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";
import { deliveryMessage } from "../messages/delivery-message.ts";
import { dateOf, enumNames, optionalUuidOf, uuidOf } from "../messages/wire-values.ts";
import { createRecoveryHandlers } from "./recovery-handlers.ts";

/** DeliveryService on the use cases. */
export function createDeliveryHandlers(useCases: UseCases): ServiceImpl<typeof DeliveryService> {
  const { deliveries } = useCases;
  return {
    ...createRecoveryHandlers(useCases),

    async listDeliveries(request, context) {
      const filters = {
        organizationId: optionalUuidOf("organization", request.organizationId, "organization_id"),
        webhookId: optionalUuidOf("webhook", request.webhookId, "webhook_id"),
        eventId: request.eventId,
        statuses: enumNames(DeliveryStatus, request.statuses, "statuses"),
        createdAfter: dateOf(request.createdAfter, "created_after"),
        createdBefore: dateOf(request.createdBefore, "created_before"),
      };
      const page = await deliveries.list(principalOf(context), filters, request);
      const messages = page.items.map((delivery) => deliveryMessage(delivery));
      return { deliveries: messages, nextPageToken: page.nextPageToken };
    },

    async getDelivery(request, context) {
      const { delivery, attempts } = await deliveries.get(principalOf(context), targetOf(request));
      return { delivery: deliveryMessage(delivery, attempts) };
    },

    async retryDelivery(request, context) {
      return { delivery: deliveryMessage(await deliveries.retry(principalOf(context), targetOf(request))) };
    },

    async cancelDelivery(request, context) {
      return { delivery: deliveryMessage(await deliveries.cancel(principalOf(context), targetOf(request))) };
    },
  };
}

function targetOf({ id, organizationId }: { id: string; organizationId: string }): DeliveryTarget {
  return {
    id: uuidOf("delivery", id, "id"),
    organizationId: optionalUuidOf("organization", organizationId, "organization_id"),
  };
}

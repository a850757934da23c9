import type { ServiceImpl } from "@connectrpc/connect";
import type { DeliveryService } from "../../../gen/tellwire/v1/delivery_service_pb.ts";
import { RecoveryScope, RecoveryStatus } from "../../../gen/tellwire/v1/recovery_pb.ts";
import { invalidFields } from "../../errors.ts";
import type { RecoveryTarget } from "../../usecases/recoveries.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";
import { recoveryMessage } from "../messages/recovery-message.ts";
import { dateOf, enumName, enumNames, optionalUuidOf, uuidOf } from "../messages/wire-values.ts";

type RecoveryMethods = Pick<
  ServiceImpl<typeof DeliveryService>,
  "recoverDeliveries" | "getRecovery" | "listRecoveries" | "cancelRecovery"
>;

/** The methods of DeliveryService about recoveries, on the use cases. */
export function createRecoveryHandlers({ recoveries }: UseCases): RecoveryMethods {
  return {
    async recoverDeliveries(request, context) {
      const started = await recoveries.start(principalOf(context), {
        id: uuidOf("webhook", request.webhookId, "webhook_id"),
        organizationId: optionalUuidOf("organization", request.organizationId, "organization_id"),
        scope: enumName(RecoveryScope, request.scope) ?? missing("scope"),
        since: dateOf(request.sinceTime, "since_time") ?? missing("since_time"),
        until: dateOf(request.untilTime, "until_time"),
      });
      return { recovery: recoveryMessage(started) };
    },

    async getRecovery(request, context) {
      return { recovery: recoveryMessage(await recoveries.get(principalOf(context), targetOf(request))) };
    },

    async listRecoveries(request, context) {
      const filters = {
        organizationId: optionalUuidOf("organization", request.organizationId, "organization_id"),
        webhookId: optionalUuidOf("webhook", request.webhookId, "webhook_id"),
        statuses: enumNames(RecoveryStatus, request.statuses, "statuses"),
      };
      const page = await recoveries.list(principalOf(context), filters, request);
      return { recoveries: page.items.map(recoveryMessage), nextPageToken: page.nextPageToken };
    },

    async cancelRecovery(request, context) {
      return { recovery: recoveryMessage(await recoveries.cancel(principalOf(context), targetOf(request))) };
    },
  };
}

function targetOf({ id, organizationId }: { id: string; organizationId: string }): RecoveryTarget {
  return {
    id: uuidOf("recovery", id, "id"),
    organizationId: optionalUuidOf("organization", organizationId, "organization_id"),
  };
}

function missing(field: string): never {
  throw invalidFields({ field, description: "value is required" });
}

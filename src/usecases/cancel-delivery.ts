import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import type { Principal } from "./access.ts";
import type { Transact } from "./changes.ts";
import { type DeliveryRecord, type DeliveryTarget, findDelivery } from "./delivery-record.ts";

/**
 * Cancels a scheduled delivery: no further attempt is made, and one that is under way is not called back. A delivery that is CANCELLED already
 * stays so; any other one throws DELIVERY_NOT_SCHEDULED.
 */
export type CancelDelivery = (principal: Principal, target: DeliveryTarget) => Promise<DeliveryRecord>;

export function createCancelDelivery({ transact, now }: { transact: Transact; now: () => number }): CancelDelivery {
  return (principal, target) =>
    transact(async (em) => {
      // Under the row's lock: an outcome that is recorded at the same time comes either before this or after it.
      const delivery = await findDelivery(em, principal, target, { lock: true });
      if (delivery.status === "SCHEDULED") {
        Object.assign(delivery, {
          status: "CANCELLED",
          statusReason: "it was cancelled by request",
          nextAttemptAt: null,
          manualRetry: null,
          completedAt: new Date(now()),
        });
        await em.flush();
        return delivery;
      }
      if (delivery.status === "CANCELLED") return delivery;
      const { id, status } = delivery;
      throw new TellwireError(
        "DELIVERY_NOT_SCHEDULED",
        `only a SCHEDULED delivery can be cancelled; this one is ${status}: no further attempt is due anyway`,
        { metadata: { delivery_id: publicId("delivery", id), status } },
      );
    });
}

import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import { cancelScheduled } from "../store/sql/move-deliveries.ts";
import { giveTurns } from "../store/sql/turns.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import type { Principal } from "./access.ts";
import { aboutDelivery, auditedDelivery } from "./audited-states.ts";
import { type ChangeParts, changeChannels } from "./changes.ts";
import { type DeliveryRecord, type DeliveryTarget, findDelivery, findDeliveryToChange } from "./delivery-record.ts";
import { makeLaneDue } from "./make-lane-due.ts";

/**
 * Cancels a scheduled delivery: no further attempt is made, and one that is under way is not called back. The next one
 * of its ordering key gets its turn. A delivery that is CANCELLED already
 * stays so; any other one throws DELIVERY_NOT_SCHEDULED.
 */
export type CancelDelivery = (principal: Principal, target: DeliveryTarget) => Promise<DeliveryRecord>;

export function createCancelDelivery({ transact, audit, now }: ChangeParts): CancelDelivery {
  return (principal, target) =>
    transact(async (em, marks) => {
      const sql = transactionSql(em);
      // Under the row's lock: an outcome that is recorded at the same time comes either before this or after it.
      const delivery = await findDeliveryToChange(em, principal, target);
      if (delivery.status === "SCHEDULED") {
        const { id, webhookId, orderingKey } = delivery;
        await cancelScheduled(sql, { id, reason: "it was cancelled by request", now: now() });
        // Whoever works on its lane may have read it already.
        await em.execute("select pg_notify(?, ?)", [changeChannels.lanes, webhookId]);
        if (orderingKey !== null) {
          await giveTurns(sql, [{ webhookId, orderingKey }]);
          await makeLaneDue(em, webhookId, marks);
        }
        const cancelled = await findDelivery(sql, principal, target);
        const states = { before: auditedDelivery(delivery), after: auditedDelivery(cancelled) };
        await audit.record(em, principal, { ...aboutDelivery(delivery), action: "delivery.cancel", ...states });
        return cancelled;
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

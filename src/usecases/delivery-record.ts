import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/sql";
import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import type { Attempt } from "../store/entities/attempt.ts";
import { type Delivery, DeliveryEntity } from "../store/entities/delivery.ts";
import { organizationOf, type Principal } from "./access.ts";

/** A delivery as it is stored. */
export type DeliveryRecord = Delivery;

/** An attempt as it is stored. */
export type AttemptRecord = Attempt;

/** Which delivery a call is about. */
export interface DeliveryTarget {
  /** The delivery's UUID. */
  id: string;
  /** The organization's UUID, where the call names one. */
  organizationId: string | undefined;
}

/**
 * Finds a delivery that the caller may see. Throws DELIVERY_NOT_FOUND for one that does not exist, and for one of another organization.
 * `lock` keeps others from changing it until the transaction ends.
 */
export async function findDelivery(
  em: SqlEntityManager,
  principal: Principal,
  { id, organizationId: requested }: DeliveryTarget,
  { lock }: { lock: boolean },
): Promise<DeliveryRecord> {
  const organizationId = organizationOf(principal, requested);
  const delivery = await em.findOne(
    DeliveryEntity,
    { id, ...(organizationId === undefined ? {} : { organizationId }) },
    lock ? { lockMode: LockMode.PESSIMISTIC_WRITE } : {},
  );
  if (delivery !== null) return delivery;
  const deliveryId = publicId("delivery", id);
  throw new TellwireError("DELIVERY_NOT_FOUND", `there is no delivery ${deliveryId}`, {
    metadata: { delivery_id: deliveryId },
  });
}

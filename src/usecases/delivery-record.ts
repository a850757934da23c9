import type { SqlEntityManager } from "@mikro-orm/sql";
import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import type { Attempt } from "../store/entities/attempt.ts";
import { lockDelivery, readDelivery, type StoredDelivery } from "../store/sql/stored-deliveries.ts";
import type { Sql } from "../store/sql.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import { organizationOf, type Principal } from "./access.ts";
import { requireForShared, standingOf } from "./projects.ts";

/** A delivery as callers see it, scheduled or finished. */
export type DeliveryRecord = StoredDelivery;

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
 * Finds a delivery that the caller may see. Throws DELIVERY_NOT_FOUND for one that does not exist, for one of another organization, and for
 * one of other projects than the caller's.
 */
export async function findDelivery(sql: Sql, principal: Principal, target: DeliveryTarget): Promise<DeliveryRecord> {
  return (await findWithStanding(sql, principal, target)).delivery;
}

/**
 * The same for a delivery that is to be changed: nobody else changes or moves it until the transaction ends. Where its webhook keeps an order, its
 * lane is locked before it, because whoever gives out the turns does so in this order. Throws WHOLE_ORGANIZATION_REQUIRED where the caller
 * sees the delivery's webhook and may not change it.
 */
export async function findDeliveryToChange(
  em: SqlEntityManager,
  principal: Principal,
  target: DeliveryTarget,
): Promise<DeliveryRecord> {
  const sql = transactionSql(em);
  const { delivery, standing } = await findWithStanding(sql, principal, target);
  const { id, organizationId, webhookId, orderingKey } = delivery;
  if (standing !== "own") requireForShared(principal, webhookId);
  if (orderingKey !== null) await sql.query(lockLane, [webhookId]);
  return (await lockDelivery(sql, { id, organizationId })) ?? notFound(id);
}

async function findWithStanding(sql: Sql, principal: Principal, target: DeliveryTarget) {
  const organizationId = organizationOf(principal, target.organizationId);
  const delivery = (await readDelivery(sql, { id: target.id, organizationId })) ?? notFound(target.id);
  const standing = await standingOf(sql, principal, delivery.webhookId);
  return standing === "foreign" ? notFound(target.id) : { delivery, standing };
}

const lockLane = { name: "lock-lane-of-order", text: "select from lane where webhook_id = $1::uuid for update" };

function notFound(id: string): never {
  const deliveryId = publicId("delivery", id);
  throw new TellwireError("DELIVERY_NOT_FOUND", `there is no delivery ${deliveryId}`, {
    metadata: { delivery_id: deliveryId },
  });
}

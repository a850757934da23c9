import type { DeliveryStatus, ManualRetry } from "../../domain/delivery.ts";
import type { Sql } from "../sql.ts";

/** A delivery, in whichever of the two tables it stands: SCHEDULED is one of scheduled_delivery. */
export interface StoredDelivery {
  id: string;
  organizationId: string;
  webhookId: string;
  eventId: string;
  eventType: string;
  status: DeliveryStatus;
  statusReason: string;
  attemptCount: number;
  /** Null where no attempt is due: it is finished, or waits for its turn behind an earlier one with its ordering key. */
  nextAttemptAt: Date | null;
  /** Set while somebody asked for the next attempt by hand. */
  manualRetry: ManualRetry | null;
  lastStatusCode: number;
  /** When its event was received. */
  createdAt: Date;
  /** Null while it is scheduled. */
  completedAt: Date | null;
  /** Set while it is scheduled, for a webhook that wants the events of one key in their order. */
  orderingKey: string | null;
}

/** A delivery as the statements below select it: times in milliseconds since the epoch. */
export type DeliveryRow = Omit<StoredDelivery, "nextAttemptAt" | "createdAt" | "completedAt"> & {
  nextAttemptAt: number | null;
  createdAt: number;
  completedAt: number | null;
};

/** What a select on scheduled_delivery names to get DeliveryRows. */
export const scheduledColumns = `
  id, organization_id as "organizationId", webhook_id as "webhookId", event_id as "eventId", event_type as "eventType",
  'SCHEDULED' as status, '' as "statusReason", attempt_count as "attemptCount",
  case when next_attempt_at < 'infinity' then (extract(epoch from next_attempt_at) * 1000)::float8 end as "nextAttemptAt",
  manual_retry as "manualRetry", last_status_code as "lastStatusCode",
  (extract(epoch from created_at) * 1000)::float8 as "createdAt", null::float8 as "completedAt", ordering_key as "orderingKey"`;

/** What a select on delivery names to get DeliveryRows. */
export const finishedColumns = `
  id, organization_id as "organizationId", webhook_id as "webhookId", event_id as "eventId", event_type as "eventType",
  status, status_reason as "statusReason", attempt_count as "attemptCount", null::float8 as "nextAttemptAt",
  null::text as "manualRetry", last_status_code as "lastStatusCode",
  (extract(epoch from created_at) * 1000)::float8 as "createdAt",
  (extract(epoch from completed_at) * 1000)::float8 as "completedAt", null::text as "orderingKey"`;

/** A row with its times as Dates. */
export function storedDelivery({ nextAttemptAt, createdAt, completedAt, ...row }: DeliveryRow): StoredDelivery {
  return {
    ...row,
    nextAttemptAt: nextAttemptAt === null ? null : new Date(nextAttemptAt),
    createdAt: new Date(createdAt),
    completedAt: completedAt === null ? null : new Date(completedAt),
  };
}

/** The delivery of this id, of the organization where one is given. */
export async function readDelivery(
  sql: Sql,
  { id, organizationId }: { id: string; organizationId: string | undefined },
): Promise<StoredDelivery | undefined> {
  const [row] = await sql.query<DeliveryRow>(readEither, [id, organizationId ?? null]);
  return row && storedDelivery(row);
}

/** The same for a delivery that is to be changed: nobody else changes or moves it until the transaction ends. */
export async function lockDelivery(
  transaction: Sql,
  { id, organizationId }: { id: string; organizationId: string | undefined },
): Promise<StoredDelivery | undefined> {
  // Who waits for a row that is moved to the other table finds nothing here, and looks there. It may come back once in between.
  for (const statement of [lockScheduled, lockFinished, lockScheduled, lockFinished]) {
    const [row] = await transaction.query<DeliveryRow>(statement, [id, organizationId ?? null]);
    if (row !== undefined) return storedDelivery(row);
  }
  return undefined;
}

const isIt = "id = $1::uuid and ($2::uuid is null or organization_id = $2::uuid)";

// Index: the primary key of each table; of delivery one partition, because the id is its key. One statement sees both at one time, so a
// delivery that moves meanwhile is in neither twice nor missed.
const readEither = {
  name: "read-delivery",
  text: `select ${scheduledColumns} from scheduled_delivery where ${isIt}
    union all select ${finishedColumns} from delivery where ${isIt}`,
};

const lockScheduled = {
  name: "lock-scheduled-delivery",
  text: `select ${scheduledColumns} from scheduled_delivery where ${isIt} for update`,
};

const lockFinished = {
  name: "lock-finished-delivery",
  text: `select ${finishedColumns} from delivery where ${isIt} for update`,
};

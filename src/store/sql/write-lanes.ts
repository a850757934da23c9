import type { Sql } from "../sql.ts";
import type { DeliveryRecord } from "./write-deliveries.ts";

/**
 * Makes the lanes of scheduled deliveries due when the first of them is; now where one waits for its turn, so that the turns are looked at. A lane
 * whose breaker is open stays due when that ends. Call it after the deliveries are written, in their transaction.
 */
export async function writeLanes(transaction: Sql, scheduled: readonly DeliveryRecord[]): Promise<void> {
  const lanes = new Map<string, LaneChange>();
  for (const { webhookId, organizationId, nextAttemptAt } of scheduled) {
    const time = nextAttemptAt ?? Number.POSITIVE_INFINITY;
    const lane = lanes.get(webhookId) ?? { organizationId, dueAt: Number.POSITIVE_INFINITY, hasTurns: false };
    lane.dueAt = Math.min(lane.dueAt, time);
    lane.hasTurns ||= time === Number.POSITIVE_INFINITY;
    lanes.set(webhookId, lane);
  }
  if (lanes.size === 0) {
    return;
  }
  // In the order of the ids, so that two recorders never wait for each other in a ring.
  const sorted = [...lanes].sort(([one], [other]) => (one < other ? -1 : 1));
  await transaction.query(upsert, [
    sorted.map(([webhookId]) => webhookId),
    sorted.map(([, { organizationId }]) => organizationId),
    sorted.map(([, { dueAt }]) => (Number.isFinite(dueAt) ? new Date(dueAt).toISOString() : null)),
    sorted.map(([, { hasTurns }]) => hasTurns),
  ]);
}

/** Makes the lanes of these webhooks due now, whatever their breakers say: their webhooks' status has changed. */
export async function wakeLanes(transaction: Sql, webhookIds: readonly string[]): Promise<void> {
  if (webhookIds.length > 0) {
    await transaction.query(wake, [webhookIds]);
  }
}

interface LaneChange {
  organizationId: string;
  dueAt: number;
  /** A delivery waits for its turn. */
  hasTurns: boolean;
}

// Index: the primary key. The row is locked even where its time stays: whoever gives the lane back comes before this, or sees the deliveries.
// least and greatest pass over null.
const upsert = {
  name: "upsert-lanes",
  text: `
    insert into lane as l (webhook_id, organization_id, due_at)
    select webhook_id, organization_id, least(due_at, case when has_turns then now() end)
    from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::boolean[]) as w (webhook_id, organization_id, due_at, has_turns)
    on conflict (webhook_id) do update
    set due_at = least(l.due_at, greatest(excluded.due_at, l.open_until)), organization_id = excluded.organization_id
    where l.due_at > greatest(excluded.due_at, l.open_until) or l.organization_id is null`,
};

// Index: the primary key. Locked in the order of the ids.
const wake = {
  name: "wake-lanes",
  text: `
    update lane set due_at = now()
    where webhook_id in (select webhook_id from lane where webhook_id = any($1::uuid[]) order by webhook_id for update)`,
};

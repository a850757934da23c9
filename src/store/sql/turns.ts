import type { Sql } from "../sql.ts";

/** A key of an ordered webhook: its deliveries are made one after the other. */
export interface OrderedKey {
  webhookId: string;
  orderingKey: string;
}

/**
 * Makes the first waiting delivery of each key due, where it is its turn: nothing of the key stands before it, and everything that the
 * broker held before it is on record. Call it in the transaction that finished or added a delivery, after that, with the lanes' rows locked:
 * then whoever comes second sees what the first one did.
 */
export async function giveTurns(transaction: Sql, keys: readonly OrderedKey[]): Promise<void> {
  if (keys.length > 0) {
    await transaction.query(give, [keys.map(({ webhookId }) => webhookId), keys.map(({ orderingKey }) => orderingKey)]);
  }
}

export interface TurnsOfLane {
  webhookId: string;
  owner: string;
  fence: number;
  /** Every event up to this sequence is on record (`Broker.recordedThrough`). */
  through: number;
}

/** How far the turns of a lane have come. */
export interface TurnsTaken {
  /** Some have come whose turn it may be. */
  isNew: boolean;
  /** Deliveries wait behind the broker's mark: ask again soon. */
  isWaiting: boolean;
}

/**
 * Gives out the turns of what was recorded up to the mark since the last time. Only the holder of the lane may; for anybody else it does
 * nothing. A broker that began anew counts from the start again: then everything that waits gets its turn.
 */
export async function advanceTurns(sql: Sql, { webhookId, owner, fence, through }: TurnsOfLane): Promise<TurnsTaken> {
  const [found] = await sql.query<{ is_new: boolean; is_waiting: boolean }>(look, [webhookId, through, patienceMs]);
  if (found?.is_new) {
    await sql.transaction(async (transaction) => {
      const [lane] = await transaction.query<{ before: number }>(lock, [webhookId, owner, fence]);
      if (lane !== undefined) {
        const beganAnew = through < lane.before;
        const from = beganAnew ? 0 : lane.before;
        const to = beganAnew ? Number.MAX_SAFE_INTEGER : through;
        const keys = await transaction.query<{ orderingKey: string }>(keysSince, [webhookId, from, to, patienceMs]);
        await transaction.query(moveMark, [webhookId, to]);
        await giveTurns(
          transaction,
          keys.map(({ orderingKey }) => ({ webhookId, orderingKey })),
        );
        await transaction.query(moveMark, [webhookId, through]);
      }
    });
  }
  return { isNew: found?.is_new ?? false, isWaiting: found?.is_waiting ?? false };
}

/**
 * How long a delivery waits for events before it that the broker has handed out and nobody recorded. They come within the broker's patience;
 * what does not come at all must not hold up a key for ever.
 */
const patienceMs = 10 * 60_000;

// Index: scheduled_delivery_turn, its first entry for each key.
const give = {
  name: "give-turns",
  text: `
    update scheduled_delivery s
    set next_attempt_at = now()
    from (
      select first.id
      from (select distinct webhook_id, ordering_key from unnest($1::uuid[], $2::text[]) as k (webhook_id, ordering_key)) key
      join lane on lane.webhook_id = key.webhook_id
      cross join lateral (
        select d.id, d.next_attempt_at, d.sequence, d.created_at
        from scheduled_delivery d
        where d.webhook_id = key.webhook_id and d.ordering_key = key.ordering_key
        order by d.sequence
        limit 1
      ) first
      where first.next_attempt_at = 'infinity'
        and (first.sequence <= lane.ordered_through or first.created_at < now() - ${patienceMs} * interval '1 millisecond')
    ) turn
    where s.id = turn.id`,
};

// Index: scheduled_delivery_sequence, one entry each.
const look = {
  name: "look-for-turns",
  text: `
    select
      l.ordered_through > $2::bigint or exists (
        select from scheduled_delivery s
        where s.webhook_id = l.webhook_id and s.ordering_key is not null and s.sequence > l.ordered_through
          and (s.sequence <= $2::bigint or s.created_at < now() - $3::integer * interval '1 millisecond')
      ) as is_new,
      exists (
        select from scheduled_delivery s
        where s.webhook_id = l.webhook_id and s.ordering_key is not null and s.sequence > $2::bigint
      ) as is_waiting
    from lane l
    where l.webhook_id = $1`,
};

const lock = {
  name: "lock-lane-for-turns",
  text: `
    select ordered_through::float8 as before from lane
    where webhook_id = $1 and lease_owner = $2::uuid and fence = $3 for update`,
};

// Index: scheduled_delivery_sequence, the entries since the last time. A lane that is new looks at everything that waits in it, once.
const keysSince = {
  name: "keys-since",
  text: `
    select distinct ordering_key as "orderingKey"
    from scheduled_delivery
    where webhook_id = $1 and ordering_key is not null and sequence > $2::bigint
      and (sequence <= $3::bigint or created_at < now() - $4::integer * interval '1 millisecond')`,
};

const moveMark = {
  name: "move-ordered-through",
  text: "update lane set ordered_through = $2::bigint where webhook_id = $1",
};

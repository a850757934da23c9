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
  /** No event has a larger one. */
  last: number;
}

/** How far the turns of a lane have come. */
export interface TurnsTaken {
  /** Some have come whose turn it may be. */
  isNew: boolean;
  /** Deliveries wait behind the broker's mark: ask again soon. */
  isWaiting: boolean;
}

/**
 * Gives out the turns of what was recorded up to the mark since the last time, some at a time: whoever records deliveries of the lane waits for
 * each of these transactions. Only the holder of the lane may; for anybody else it does nothing. A mark that falls back changes nothing. A broker
 * that began anew counts from the start again: then everything that waits gets its turn.
 */
export async function advanceTurns(sql: Sql, lane: TurnsOfLane): Promise<TurnsTaken> {
  const { webhookId, through, last } = lane;
  const [found] = await sql.query<{ is_new: boolean; is_waiting: boolean }>(look, [
    webhookId,
    through,
    patienceMs,
    last,
  ]);
  if (found?.is_new) {
    let after: number | undefined;
    do {
      after = await sql.transaction((transaction) => advanceSome(transaction, lane, after));
    } while (after !== undefined);
  }
  return { isNew: found?.is_new ?? false, isWaiting: found?.is_waiting ?? false };
}

/** Goes on after a sequence, or, without one, where the last time ended. Returns the sequence after which there may be more. */
async function advanceSome(
  transaction: Sql,
  { webhookId, owner, fence, through, last }: TurnsOfLane,
  after: number | undefined,
): Promise<number | undefined> {
  const [lane] = await transaction.query<{ before: number }>(lock, [webhookId, owner, fence]);
  if (lane === undefined) {
    return undefined;
  }
  const beganAnew = last < lane.before;
  const mark = beganAnew ? through : Math.max(through, lane.before);
  const to = beganAnew ? Number.MAX_SAFE_INTEGER : mark;
  const from = after ?? (beganAnew ? 0 : lane.before);
  const waiting = await transaction.query<Waiting>(nextWaiting, [webhookId, from, to, patienceMs, chunk]);
  const end = waiting.length < chunk ? undefined : waiting.at(-1)?.sequence;
  await transaction.query(moveMark, [webhookId, Math.min(end ?? to, to)]);
  await giveTurns(
    transaction,
    [...new Set(waiting.map(({ orderingKey }) => orderingKey))].map((orderingKey) => ({ webhookId, orderingKey })),
  );
  if (beganAnew) {
    // Before the end it stays as it was: whoever goes on after a crash begins anew too.
    await transaction.query(moveMark, [webhookId, end === undefined ? mark : lane.before]);
  }
  return end;
}

interface Waiting {
  orderingKey: string;
  sequence: number;
}

/** How many waiting deliveries one transaction looks at. */
const chunk = 1_000;

/**
 * Makes deliveries due that wait for their turns in the lane of a webhook which asks for no order any more, a thousand at most, and returns how
 * many there were: call it until there are none. They go as they come from now on. What is being recorded is passed over.
 */
export async function endTurns(sql: Sql, webhookId: string): Promise<number> {
  const ended = await sql.query(endSome, [webhookId, chunk]);
  return ended.length;
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
      l.ordered_through > $4::bigint or exists (
        select from scheduled_delivery s
        where s.webhook_id = l.webhook_id and s.ordering_key is not null and s.sequence > l.ordered_through
          and (s.sequence <= $2::bigint or s.created_at < now() - $3::integer * interval '1 millisecond')
      ) as is_new,
      exists (
        select from scheduled_delivery s
        where s.webhook_id = l.webhook_id and s.ordering_key is not null and s.sequence > greatest($2::bigint, l.ordered_through)
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

// Index: scheduled_delivery_sequence, the entries since the last time, and no more than the limit. A lane that is new looks at everything that waits
// in it, once.
const nextWaiting = {
  name: "next-waiting-for-turns",
  text: `
    select ordering_key as "orderingKey", sequence::float8 as sequence
    from scheduled_delivery
    where webhook_id = $1 and ordering_key is not null and sequence > $2::bigint
      and (sequence <= $3::bigint or created_at < now() - $4::integer * interval '1 millisecond')
    order by sequence
    limit $5`,
};

// Index: scheduled_delivery_due, from its last entry back: those that wait for a turn are due at infinity.
const endSome = {
  name: "end-turns",
  text: `
    update scheduled_delivery set next_attempt_at = now(), ordering_key = null, sequence = null
    where ctid = any (array(
      select ctid from scheduled_delivery
      where webhook_id = $1 and next_attempt_at = 'infinity'
        and exists (select from webhook where id = $1 and ordering = 'NONE')
      limit $2
      for update skip locked
    ))
    returning id`,
};

const moveMark = {
  name: "move-ordered-through",
  text: "update lane set ordered_through = $2::bigint where webhook_id = $1",
};

import type { Statement } from "../store/sql.ts";

/**
 * Without a name, a statement is planned each time that it runs. A prepared one keeps the plan that was best for the table as it was when the
 * broker was idle, which is empty: reading all of it, which takes seconds a batch when a burst of messages fills it.
 */
const plannedEachTime = "";

/** Whoever waits for messages listens here. */
export const brokerChannel = "tellwire_broker";

/**
 * Publishers share it. Sequences are given before messages are committed: whoever wants to know that none is on its way takes it alone, once.
 */
const publishingLock = 6_018_340_127;

/**
 * $1 subjects text[], $2 headers text[] (JSON), $3 bodies text[] (base64).
 * One statement and one NOTIFY for all messages, whose sequences are in their order; each costs its row and two index entries. The lock is
 * taken before the first sequence.
 */
export const publishMessages: Statement = {
  name: "broker_publish",
  text: `
    with publishing as materialized (
      select pg_advisory_xact_lock_shared(${publishingLock}) is not null as begun
    ), inserted as (
      insert into broker_message (subject, headers, body)
      select subject, headers::jsonb, decode(body, 'base64')
      from unnest($1::text[], $2::text[], $3::text[]) with ordinality as message (subject, headers, body, place)
      where (select begun from publishing)
      order by place
    )
    select pg_notify('${brokerChannel}', '')`,
};

/**
 * $1 how many at most, $2 for how many milliseconds nobody else gets them, $3 whether only those that nobody was given before.
 * Index broker_message_visible from its start: the cost is that of the rows taken, however many wait. Ordered by the time at which messages
 * became visible, which is that of publishing for those that were never handed out. Rows that others are taking are skipped, not waited for.
 * Taken by their places in the table: a plan for a table that is believed to be empty has no other index to be wrong about. One that was written
 * between the look and the lock is left for the next claim.
 */
export const claimMessages: Statement = {
  name: plannedEachTime,
  text: `
    update broker_message as message
    set visible_at = now() + $2::double precision * interval '1 millisecond', delivery_count = message.delivery_count + 1
    where message.ctid = any (array(
      select ctid
      from broker_message
      where visible_at <= now() and (delivery_count = 0 or not $3::boolean)
      order by visible_at, sequence
      limit $1
      for update skip locked
    ))
    returning
      message.sequence::double precision as sequence,
      message.subject,
      message.headers::text as headers,
      message.body,
      (extract(epoch from message.published_at) * 1000)::double precision as "publishedAtMs",
      message.delivery_count as "deliveryCount"`,
};

/** In how many milliseconds the next message becomes visible; null where there is none. Reads one entry of broker_message_visible. */
export const nextVisible: Statement = {
  name: plannedEachTime,
  text: `
    select (extract(epoch from min(visible_at) - now()) * 1000)::double precision as "inMs"
    from broker_message`,
};

/**
 * $1 sequences bigint[]. By the primary key. It does not matter who has the message by now: what it asks for is recorded, and nobody needs
 * to get it again.
 */
export const acknowledgeMessages: Statement = {
  name: plannedEachTime,
  text: "delete from broker_message where sequence = any($1::bigint[])",
};

/**
 * $1 sequences bigint[], $2 delivery counts integer[], $3 delays in milliseconds double precision[]. By the primary key. The delivery count
 * is the fence: a message that somebody else was given in the meantime stays with them.
 * The sequences stand there a second time because a join alone would read all of the table where it is believed to be empty.
 */
export const postponeMessages: Statement = {
  name: plannedEachTime,
  text: `
    update broker_message as message
    set visible_at = now() + postponed.delay_ms * interval '1 millisecond'
    from unnest($1::bigint[], $2::integer[], $3::double precision[]) as postponed (sequence, delivery_count, delay_ms)
    where message.sequence = any($1::bigint[]) and message.sequence = postponed.sequence
      and message.delivery_count = postponed.delivery_count`,
};

/**
 * The last sequence that was given to a message, or 0, once everybody has committed who was publishing at that time. Waits for the statements
 * of publishers that are under way, which are short, and holds up no others for longer than that.
 */
export const lastPublished: Statement = {
  name: "broker_last_published",
  text: `
    select case when is_called then last_value else 0 end::double precision as sequence, pg_advisory_xact_lock(${publishingLock})
    from broker_message_sequence_seq`,
};

/** The smallest sequence that waits for its acknowledgement; null where none does. Reads one entry of the primary key. */
export const firstWaiting: Statement = {
  name: plannedEachTime,
  text: "select min(sequence)::double precision as sequence from broker_message",
};

/** $1 the sequence, $2 subject, $3 headers (JSON), $4 body (base64), $5 reason. Moves one message, by the primary key. */
export const rejectMessage: Statement = {
  name: "broker_reject",
  text: `
    with gone as (
      delete from broker_message where sequence = $1::bigint
    )
    insert into broker_rejected (subject, headers, body, reason)
    values ($2, $3::jsonb, decode($4, 'base64'), $5)`,
};

/** $1 the age in milliseconds. Reads the whole table, which is small; run once an hour. */
export const removeOldRejected: Statement = {
  name: "broker_remove_old_rejected",
  text: "delete from broker_rejected where rejected_at < now() - $1::double precision * interval '1 millisecond'",
};

import type { Sql } from "../store/sql.ts";
import type { BrokerLog, ConsumeOptions, Consumer, IncomingMessage } from "./broker.ts";
import { createByteRoom } from "./byte-room.ts";
import { createFreeRoom, leastRoom } from "./free-room.ts";
import type { Settlements } from "./postgres-settlements.ts";
import { claimMessages, nextVisible } from "./postgres-statements.ts";
import { createWakeUp } from "./wake-up.ts";

export interface PostgresConsumerOptions extends ConsumeOptions {
  ackWaitMs: number;
  /** How long to wait for a notification before looking anyway. */
  pollIntervalMs: number;
  settlements: Settlements;
  log: BrokerLog;
}

export interface PostgresConsumer extends Consumer {
  /** There may be something to claim: look now. */
  wake(): void;
}

interface ClaimedRow {
  sequence: number;
  subject: string;
  headers: string;
  body: Uint8Array;
  publishedAtMs: number;
  deliveryCount: number;
}

const firstRetryMs = 100;
const maxRetryMs = 5_000;
/** Within this time after an outage, whoever has messages in work says so: settlements are tried again every five seconds. */
const settlingMs = 7_000;

/** Claims messages for as long as nobody stops it, over every outage of the database. */
export function startPostgresConsumer(
  sql: Sql,
  options: PostgresConsumerOptions,
  handle: (batch: readonly IncomingMessage[]) => void,
): PostgresConsumer {
  const { maxBatch, maxUnacknowledged, ackWaitMs, settlements, log } = options;
  /** The bytes of each, by sequence: a message that is delivered again while it is still in work counts once. */
  const unacknowledged = new Map<number, number>();
  const wakeUp = createWakeUp();
  const least = leastRoom(maxUnacknowledged, maxBatch);
  const freeRoom = createFreeRoom(least);
  const byteRoom = createByteRoom(options.maxUnacknowledgedBytes);
  /** The last claim got as many as it asked for: nobody has counted how many are left. */
  let hasMore = false;
  const waitingMessages = (): number => (hasMore ? Number.POSITIVE_INFINITY : 0);
  /** There was no room for another message when it was looked at last. */
  let isFull = false;
  let stopped = false;
  let retryMs = 0;
  /** Since when the database has not answered, as `performance.now()` counts. */
  let awaySince: number | undefined;
  /** Until then others may not have said that messages are still in work: those are left to them. */
  let settlingUntil = 0;

  const room = (): number => {
    const limit = Math.min(maxUnacknowledged, options.presentLimit?.(waitingMessages) ?? maxUnacknowledged);
    return Math.min(freeRoom.take(limit - unacknowledged.size), byteRoom.messages(0));
  };
  const run = async (): Promise<void> => {
    while (!stopped) {
      const limit = Math.min(maxBatch, room());
      isFull = limit === 0;
      if (isFull) {
        await wakeUp.wait(options.pollIntervalMs);
        continue;
      }
      const rows = await claim(limit);
      if (rows === undefined) {
        await wakeUp.wait(retryMs, { ignoreCalls: true });
        continue;
      }
      hasMore = rows.length === limit;
      handOut(rows);
      if (rows.length === 0) {
        byteRoom.forgetSizes();
      }
      if (rows.length < limit) {
        await wakeUp.wait(await idleMs());
      }
    }
  };
  /** Undefined where the database does not answer. */
  const claim = async (limit: number): Promise<ClaimedRow[] | undefined> => {
    const now = performance.now();
    // By then nobody could postpone what becomes visible.
    if (awaySince !== undefined && now - awaySince > ackWaitMs / 6) {
      settlingUntil = now + settlingMs;
    }
    try {
      const rows = await sql.query<ClaimedRow>(claimMessages, [limit, ackWaitMs, now < settlingUntil]);
      retryMs = 0;
      awaySince = undefined;
      return rows;
    } catch (error) {
      awaySince ??= now;
      retryMs = Math.min(maxRetryMs, retryMs === 0 ? firstRetryMs : retryMs * 2);
      log("warn", "messages could not be claimed; trying again", { error, retryMs });
      return undefined;
    }
  };
  const handOut = (rows: ClaimedRow[]): void => {
    if (stopped) {
      for (const { sequence, deliveryCount } of rows) {
        settlements.giveBack(sequence, deliveryCount, 0);
      }
    } else if (rows.length > 0) {
      rows.sort((one, other) => one.sequence - other.sequence);
      handle(rows.map(received));
    }
  };
  /** Until a message becomes visible that nobody is notified of, such as one that was given back. */
  const idleMs = async (): Promise<number> => {
    // Where this fails, so does the next claim, which says so.
    const [next] = await sql.query<{ inMs: number | null }>(nextVisible, []).catch(() => []);
    return Math.min(options.pollIntervalMs, Math.max(0, Math.ceil(next?.inMs ?? Number.POSITIVE_INFINITY)));
  };
  const received = ({
    sequence,
    subject,
    headers,
    body,
    publishedAtMs,
    deliveryCount,
  }: ClaimedRow): IncomingMessage => {
    if (!unacknowledged.has(sequence)) {
      unacknowledged.set(sequence, body.byteLength);
      byteRoom.enter(body.byteLength);
    }
    let settled = false;
    const settle = (write: () => void): void => {
      if (!settled) {
        settled = true;
        byteRoom.leave(unacknowledged.get(sequence) ?? 0);
        unacknowledged.delete(sequence);
        write();
        if (isFull && room() > 0) {
          isFull = false;
          wakeUp.call();
        }
      }
    };
    return {
      place: `broker_message:${sequence}`,
      sequence,
      subject,
      headers: JSON.parse(headers),
      body,
      publishedAt: new Date(publishedAtMs),
      deliveryCount,
      ack: () => settle(() => settlements.acknowledge(sequence)),
      nak: (delayMs) => settle(() => settlements.giveBack(sequence, deliveryCount, delayMs)),
      working() {
        if (!settled) {
          settlements.postpone(sequence, deliveryCount, ackWaitMs);
        }
      },
    };
  };

  const running = run();
  return {
    wake: wakeUp.call,
    async stop() {
      stopped = true;
      wakeUp.end();
      await running;
    },
  };
}

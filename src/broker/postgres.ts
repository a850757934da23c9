import { createSharedRead } from "../domain/shared-read.ts";
import { TellwireError } from "../errors.ts";
import type { Sql } from "../store/sql.ts";
import {
  ackWaitMs,
  type Broker,
  type BrokerLog,
  type RecordedMark,
  recordedThroughIntervalMs,
  rejectedMaxAgeMs,
  rejectRetryMs,
} from "./broker.ts";
import { type PostgresConsumer, startPostgresConsumer } from "./postgres-consumer.ts";
import { createPublisher, publishParameters } from "./postgres-publisher.ts";
import { createSettlements } from "./postgres-settlements.ts";
import { brokerChannel, firstWaiting, lastPublished, rejectMessage, removeOldRejected } from "./postgres-statements.ts";
import { rejectedMessage } from "./rejected-message.ts";
import { defaultSubjectPrefix } from "./subjects.ts";

export interface PostgresBrokerOptions {
  log: BrokerLog;
  /** How long a consumer waits for a notification before it looks anyway. */
  pollIntervalMs?: number;
  ackWaitMs?: number;
  subjectPrefix?: string;
}

/**
 * Opens the broker on the tables of the store, on a Postgres server or the embedded one, for which the migrations have to be done. Consumers are
 * woken by NOTIFY, and look by themselves every `pollIntervalMs` in case that one is lost. The database is not closed with the broker.
 */
export async function openPostgresBroker(sql: Sql, options: PostgresBrokerOptions): Promise<Broker> {
  const { log, pollIntervalMs = 1_000, subjectPrefix = defaultSubjectPrefix } = options;
  const consumers = new Set<PostgresConsumer>();
  const wakeAll = (): void => {
    for (const consumer of consumers) {
      consumer.wake();
    }
  };
  const stopListening = await sql.listen(brokerChannel, wakeAll, wakeAll).catch((error: unknown) => {
    throw unavailable("the database does not answer", error);
  });
  const settlements = createSettlements(sql, { log, onGivenBack: wakeAll });
  const removeOld = async (): Promise<void> => {
    await sql.query(removeOldRejected, [rejectedMaxAgeMs]).catch((error: unknown) => {
      log("warn", "old rejected messages could not be removed; trying again in an hour", { error });
    });
  };
  const publish = createPublisher(sql);
  const recordedThrough = createSharedRead(recordedThroughIntervalMs, async () => {
    return await readRecordedThrough(sql).catch((error: unknown) => {
      throw unavailable("the database does not answer", error);
    });
  });
  const cleaning = setInterval(() => void removeOld(), cleaningIntervalMs).unref();
  await removeOld();

  return {
    async publish(messages) {
      await publish(messages).catch((error: unknown) => {
        throw unavailable("the database did not take the messages", error);
      });
    },

    recordedThrough,

    async consume(consume, handle) {
      const consumer = startPostgresConsumer(
        sql,
        { ...consume, ackWaitMs: options.ackWaitMs ?? ackWaitMs, pollIntervalMs, settlements, log },
        handle,
      );
      consumers.add(consumer);
      return {
        async stop() {
          await consumer.stop();
          consumers.delete(consumer);
        },
      };
    },

    async reject(message, reason, detail) {
      const kept = rejectedMessage({ message, reason, detail }, { subjectPrefix, maxBytes: Number.POSITIVE_INFINITY });
      const sequence = message.place.slice(message.place.indexOf(":") + 1);
      try {
        const [subjects, headers, bodies] = publishParameters([kept]);
        await sql.query(rejectMessage, [sequence, subjects[0], headers[0], bodies[0], reason]);
        message.ack();
      } catch (error) {
        log("error", "a message that was rejected could not be kept; it is tried again", {
          place: message.place,
          reason,
          error,
        });
        message.nak(rejectRetryMs);
      }
    },

    async ping() {
      await sql.query({ name: "broker_ping", text: "select 1" }, []).catch((error: unknown) => {
        throw unavailable("the database does not answer", error);
      });
    },

    async close() {
      clearInterval(cleaning);
      await Promise.all([...consumers].map((consumer) => consumer.stop()));
      await settlements.close();
      await stopListening();
    },
  };
}

/** Two statements, so that the second one sees what was being published at the time of the first. */
async function readRecordedThrough(sql: Sql): Promise<RecordedMark> {
  const [last] = await sql.query<{ sequence: number }>(lastPublished, []);
  const [first] = await sql.query<{ sequence: number | null }>(firstWaiting, []);
  const lastSequence = last?.sequence ?? 0;
  return { through: Math.min(lastSequence, (first?.sequence ?? Number.POSITIVE_INFINITY) - 1), last: lastSequence };
}

const cleaningIntervalMs = 60 * 60 * 1000;

function unavailable(what: string, cause: unknown): TellwireError {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return new TellwireError("BROKER_UNAVAILABLE", `${what}${why}`, { cause });
}

import { TellwireError } from "../errors.ts";
import type { Sql } from "../store/sql.ts";
import {
  ackWaitMs,
  type Broker,
  type BrokerLog,
  type OutgoingMessage,
  rejectedMaxAgeMs,
  rejectRetryMs,
} from "./broker.ts";
import { type PostgresConsumer, startPostgresConsumer } from "./postgres-consumer.ts";
import { createSettlements } from "./postgres-settlements.ts";
import { brokerChannel, publishMessages, rejectMessage, removeOldRejected } from "./postgres-statements.ts";
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
  const cleaning = setInterval(() => void removeOld(), cleaningIntervalMs).unref();
  await removeOld();

  return {
    async publish(messages) {
      for (const chunk of chunks(messages)) {
        await sql.query(publishMessages, publishParameters(chunk)).catch((error: unknown) => {
          throw unavailable("the database did not take the messages", error);
        });
      }
    },

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

const cleaningIntervalMs = 60 * 60 * 1000;

/** A statement stays small enough for its memory, in this process and in the database. */
const maxChunkMessages = 1_000;
const maxChunkBytes = 4 * 1024 * 1024;

function* chunks(messages: readonly OutgoingMessage[]): Generator<OutgoingMessage[]> {
  let chunk: OutgoingMessage[] = [];
  let bytes = 0;
  for (const message of messages) {
    if (chunk.length === maxChunkMessages || (chunk.length > 0 && bytes + message.body.byteLength > maxChunkBytes)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(message);
    bytes += message.body.byteLength;
  }
  if (chunk.length > 0) {
    yield chunk;
  }
}

function publishParameters(messages: readonly OutgoingMessage[]): [string[], string[], string[]] {
  return [
    messages.map(({ subject }) => subject),
    messages.map(({ headers }) => JSON.stringify(headers)),
    // Base64 because an array of bytea does not pass the embedded Postgres.
    messages.map(({ body }) => Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64")),
  ];
}

function unavailable(what: string, cause: unknown): TellwireError {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return new TellwireError("BROKER_UNAVAILABLE", `${what}${why}`, { cause });
}

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { createSharedRead } from "../domain/shared-read.ts";
import { invalidFields, TellwireError } from "../errors.ts";
import {
  ackWaitMs,
  type Broker,
  type Consumer,
  type OutgoingMessage,
  type RecordedMark,
  recordedThroughIntervalMs,
  rejectRetryMs,
} from "./broker.ts";
import { connectNats, type NatsOptions } from "./jetstream-connection.ts";
import { startJetStreamConsumer } from "./jetstream-consumer.ts";
import { ensureTopology, type Topology } from "./jetstream-topology.ts";
import { rejectedMessage } from "./rejected-message.ts";
import { defaultSubjectPrefix } from "./subjects.ts";

export interface JetStreamOptions extends NatsOptions, Partial<Topology> {
  /** How long JetStream may take to answer, for one message. */
  timeoutMs?: number;
  /** How often the server says, while it has no message, that it is still there. */
  heartbeatMs?: number;
}

/**
 * Opens the broker on NATS JetStream (nats-server 2.9 or newer), and creates the streams and the durable consumer where they are missing.
 * Throws BROKER_UNAVAILABLE where no server answers, INCOMPATIBLE_STREAM where an existing stream or consumer would lose events.
 *
 * Events are kept for `maxAgeMs`, acknowledged or not: plan the disk for that, and keep it longer than the longest outage of the dispatcher,
 * because an event that waits longer is lost.
 */
export async function openJetStream({
  timeoutMs = 5_000,
  heartbeatMs = 5_000,
  ...options
}: JetStreamOptions): Promise<Broker> {
  const { log } = options;
  const topology: Topology = { ...defaultTopology, ...options };
  const connection = await connectNats(options);
  const { nats } = connection;
  const client = jetstream(nats, { timeout: timeoutMs });
  const restore = async (): Promise<void> => {
    const manager = await jetstreamManager(nats, { timeout: timeoutMs });
    await ensureTopology(manager, topology, log);
  };
  await restore().catch(async (error: unknown) => {
    await nats.close();
    throw error instanceof TellwireError ? error : unavailable("NATS answers, but JetStream does not", error);
  });
  const consumers = new Set<Consumer>();
  const maxBytes = (): number => nats.info?.max_payload ?? defaultMaxPayload;

  const publishOne = async (message: PreparedMessage): Promise<void> => {
    await client.publish(message.subject, message.body, { headers: message.headers }).catch((error: unknown) => {
      throw unavailable("JetStream did not take the message", error);
    });
  };

  /** What comes after a message that failed is not sent: published again, it would stand before that one. */
  const publishChain = async (chain: readonly PreparedMessage[]): Promise<void> => {
    for (const message of chain) {
      await publishOne(message);
    }
  };

  const recordedThrough = createSharedRead(recordedThroughIntervalMs, async () => {
    return await readRecordedThrough(nats, topology, timeoutMs).catch((error: unknown) => {
      throw unavailable("JetStream does not say what is acknowledged", error);
    });
  });

  return {
    async publish(messages) {
      const prepared = messages.map((message) => prepare(message, maxBytes()));
      await inWindow(chainsOf(prepared), publishChain);
    },

    recordedThrough,

    async consume(consume, handle) {
      const { stream, consumer: name } = topology;
      const consumer = startJetStreamConsumer(
        connection,
        { ...consume, stream, consumer: name, heartbeatMs, restore, log },
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
      try {
        const { subjectPrefix } = topology;
        await publishOne(
          prepare(rejectedMessage({ message, reason, detail }, { subjectPrefix, maxBytes: maxBytes() }), maxBytes()),
        );
        message.ack();
      } catch (error) {
        log("error", "a message that was rejected could not be kept; it is tried again", {
          place: message.place,
          reason,
          error,
        });
        message.nak(rejectRetryMs);
        // Somebody may have removed the stream; where this fails too, the next try says so.
        await restore().catch(() => {});
      }
    },

    async ping() {
      if (nats.isClosed()) {
        throw unavailable("the connection to NATS is closed", undefined);
      }
      await jetstreamManager(nats, { timeout: timeoutMs, checkAPI: false })
        .then((manager) => manager.streams.info(topology.stream))
        .catch((error: unknown) => {
          throw unavailable("JetStream does not answer", error);
        });
    },

    async close() {
      await Promise.all([...consumers].map((consumer) => consumer.stop()));
      // Sends what waits, such as acknowledgements; a server that is away would be waited for.
      await Promise.race([nats.flush(), timeout(timeoutMs)]).catch(() => {});
      await nats.close();
    },
  };
}

const defaultTopology: Topology = {
  stream: "TELLWIRE_EVENTS",
  rejectedStream: "TELLWIRE_REJECTED",
  consumer: "tellwire-dispatcher",
  subjectPrefix: defaultSubjectPrefix,
  replicas: 1,
  maxAgeMs: 7 * 24 * 60 * 60 * 1000,
  ackWaitMs,
  maxAckPending: 20_000,
};

/** What nats-server takes where nothing else is configured. */
const defaultMaxPayload = 1024 * 1024;

/** Awaiting each message before the next is six times slower; far more in flight brings nothing. */
const publishWindow = 256;

interface PreparedMessage {
  subject: string;
  headers: MsgHdrs;
  body: Uint8Array;
}

/** Throws INVALID_FIELDS where the message is larger than the server takes. */
function prepare(message: OutgoingMessage, maxBytes: number): PreparedMessage {
  const prepared = headers();
  for (const [name, value] of Object.entries(message.headers)) {
    prepared.set(name, value);
  }
  if (Buffer.byteLength(prepared.toString()) + message.body.byteLength > maxBytes) {
    throw invalidFields({
      field: "event.data",
      description: `is too large: with its headers it may have ${maxBytes} bytes (max_payload of the nats-server)`,
    });
  }
  return { subject: message.subject, headers: prepared, body: message.body };
}

/** Messages with one ordering key go one after the other, the others at once. */
function chainsOf(messages: readonly PreparedMessage[]): PreparedMessage[][] {
  const byKey = new Map<string, PreparedMessage[]>();
  const chains: PreparedMessage[][] = [];
  for (const message of messages) {
    const key = message.headers.get("tellwire-ordering-key");
    const chain = key === "" ? undefined : byKey.get(key);
    if (chain !== undefined) {
      chain.push(message);
      continue;
    }
    const begun = [message];
    chains.push(begun);
    if (key !== "") {
      byKey.set(key, begun);
    }
  }
  return chains;
}

/**
 * The consumer's floor: where nothing is unacknowledged, it is the last message that was handed out. What was removed from the front of the
 * stream comes no more either, and the floor may stay before it. A server that was killed may come back with an earlier floor: it writes it down now and then.
 */
async function readRecordedThrough(
  nats: NatsConnection,
  { stream, consumer }: Topology,
  timeoutMs: number,
): Promise<RecordedMark> {
  const manager = await jetstreamManager(nats, { timeout: timeoutMs, checkAPI: false });
  const [{ ack_floor }, { state }] = await Promise.all([
    manager.consumers.info(stream, consumer),
    manager.streams.info(stream),
  ]);
  return { through: Math.max(ack_floor.stream_seq, state.first_seq - 1), last: state.last_seq };
}

/** Does the work for all items, some at a time. Throws the first error when the work that was under way has ended. */
async function inWindow<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const rest = items.values();
  const lane = async (): Promise<void> => {
    for (const item of rest) {
      await work(item);
    }
  };
  const lanes = Array.from({ length: Math.min(publishWindow, items.length) }, lane);
  await Promise.all(lanes).catch(async (error: unknown) => {
    rest.return?.();
    await Promise.allSettled(lanes);
    throw error;
  });
}

function unavailable(what: string, cause: unknown): TellwireError {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return new TellwireError("BROKER_UNAVAILABLE", `${what}${why}`, { cause });
}

async function timeout(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms).unref());
}

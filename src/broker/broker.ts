/**
 * What holds events between a publisher and the dispatcher, at least once: a message is delivered again until it is acknowledged.
 * Two adapters keep this promise: jetstream.ts, and postgres.ts for the embedded mode and for deployments without NATS.
 */
export interface Broker {
  /**
   * Resolves when the broker holds every message durably, in this order; where it fails, no message stands there without those before it
   * that have its `Tellwire-Ordering-Key`. Throws BROKER_UNAVAILABLE where it does not answer in time or refuses: some of
   * the messages may be held then, so that publishing them again needs the same ids. Throws INVALID_FIELDS where a message is larger than
   * the broker takes; then none is held.
   */
  publish(messages: readonly OutgoingMessage[]): Promise<void>;
  /**
   * Up to which of its messages everything is recorded. As of after the call, however many call: the next request to the broker answers all of
   * them. Throws BROKER_UNAVAILABLE.
   */
  recordedThrough(): Promise<RecordedMark>;
  /**
   * Starts a consumer. `handle` gets messages in batches of 1 to `maxBatch`, as they come, and no more than `maxUnacknowledged` of this
   * consumer, and about `maxUnacknowledgedBytes` of their bodies, are unacknowledged at a time; a larger message comes alone. The consumer
   * outlives every outage of the broker. Consumers, here and in other processes, share the messages.
   */
  consume(options: ConsumeOptions, handle: (batch: readonly IncomingMessage[]) => void): Promise<Consumer>;
  /**
   * Keeps what nobody could understand under `tellwire.rejected.>`, with the reason, and acknowledges it. Never throws: where the broker
   * does not take it, that is logged, and the message is delivered again after 5 seconds.
   */
  reject(message: IncomingMessage, reason: RejectReason, detail: string): Promise<void>;
  /** Throws BROKER_UNAVAILABLE where the broker does not answer. */
  ping(): Promise<void>;
  /** Stops the consumers, sends the acknowledgements that wait, and lets go of the broker. Later acknowledgements go nowhere. */
  close(): Promise<void>;
}

/** How far the messages of a broker are recorded, in sequences. */
export interface RecordedMark {
  /**
   * Every message up to it is acknowledged, and no message will come any more: what an event with a smaller or equal sequence causes is recorded.
   * Smaller than before where the broker forgot some acknowledgements in a crash: what was recorded is recorded still.
   */
  through: number;
  /** At least that of every message that the broker took. Smaller than a mark of before only where the broker lost its messages and began anew. */
  last: number;
}

/** `tellwire.events.<organization>.<event type>` with the headers that event-message.ts reads; the body is the event's data as JSON. */
export interface OutgoingMessage {
  subject: string;
  /** Names and values without line breaks; what stands more than once is joined by `, `. */
  headers: Readonly<Record<string, string>>;
  body: Uint8Array;
}

export interface IncomingMessage extends OutgoingMessage {
  /** Where the message stands in the broker: unique, and the same each time that it is delivered. */
  place: string;
  /** The place as a number: of two messages, the one that was published later has the greater. */
  sequence: number;
  publishedAt: Date;
  /** 1 the first time. */
  deliveryCount: number;
  /** Why the headers, which are empty then, could not be read: NATS lets publishers write names that are none. */
  headersProblem?: string | undefined;
  /** The broker forgets the message. Acknowledgements are collected and sent together; one that gets lost means another delivery. */
  ack(): void;
  /** The broker delivers the message again after the delay in milliseconds, of which a fraction is rounded up. */
  nak(delayMs: number): void;
  /** The message is still in work: the broker waits `ackWaitMs` from now. Nothing, once somebody else was given it. */
  working(): void;
}

export interface ConsumeOptions {
  maxBatch: number;
  maxUnacknowledged: number;
  /**
   * How many of these may be unacknowledged at the moment; asked for whenever there may be room for more. Left out: all of them. `waiting` tells how many
   * messages have been left in the broker, as far as it is known: infinitely many where it is not.
   */
  presentLimit?: (waiting: () => number) => number;
  maxUnacknowledgedBytes: number;
}

export interface Consumer {
  /**
   * No further batch is handed out. Messages that were handed out may still be acknowledged; those that are not are delivered again, to
   * whoever consumes next.
   */
  stop(): Promise<void>;
}

/** Why a message went to `tellwire.rejected.>`. */
export type RejectReason =
  | "BAD_SUBJECT"
  | "BAD_EVENT_TYPE"
  | "BAD_ID"
  | "BAD_TIME"
  | "BAD_JSON"
  | "BAD_CLOUDEVENT"
  | "BAD_HEADER"
  | "TOO_LARGE"
  | "UNKNOWN_ORGANIZATION"
  | "REFUSED_BY_STORE"
  | "RATE_LIMITED"
  | "QUOTA_EXCEEDED";

/** Gets what an adapter lives through: connections lost and found, settings that deserve a look, retries. */
export type BrokerLog = (level: "info" | "warn" | "error", message: string, details?: Record<string, unknown>) => void;

/** How long the broker waits for an acknowledgement before it delivers a message again. */
export const ackWaitMs = 30_000;

/** The least time between two requests for `recordedThrough`. */
export const recordedThroughIntervalMs = 20;

/** How long what could not be rejected waits for its next delivery. */
export const rejectRetryMs = 5_000;

/** How long rejected messages are kept. */
export const rejectedMaxAgeMs = 7 * 24 * 60 * 60 * 1000;

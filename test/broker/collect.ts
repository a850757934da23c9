import type { Broker, Consumer, IncomingMessage } from "../../src/broker/broker.ts";
import { waitFor } from "../support/wait-for.ts";

export interface Collected {
  consumer: Consumer;
  /** Everything that came, in that order. */
  messages: IncomingMessage[];
  batchSizes: number[];
  bodies(): string[];
}

export interface CollectOptions {
  maxBatch?: number;
  maxUnacknowledged?: number;
  maxUnacknowledgedBytes?: number;
  /** Acknowledges each message when it comes. */
  acknowledge?: boolean;
  /** Waits until so many have come. */
  count?: number;
  timeoutMs?: number;
}

/** Consumes and keeps what comes. */
export async function collect(broker: Broker, options: CollectOptions = {}): Promise<Collected> {
  const { maxBatch = 100, maxUnacknowledged = 1_000, maxUnacknowledgedBytes = 1e9 } = options;
  const { acknowledge = false, count = 0, timeoutMs = 60_000 } = options;
  const messages: IncomingMessage[] = [];
  const batchSizes: number[] = [];
  const consumer = await broker.consume({ maxBatch, maxUnacknowledged, maxUnacknowledgedBytes }, (batch) => {
    messages.push(...batch);
    batchSizes.push(batch.length);
    if (acknowledge) {
      for (const message of batch) {
        message.ack();
      }
    }
  });
  await waitFor(() => messages.length >= count, { timeoutMs, what: `${count} messages` }).catch((error: unknown) => {
    throw new Error(`only ${messages.length} messages came`, { cause: error });
  });
  return {
    consumer,
    messages,
    batchSizes,
    bodies: () => messages.map(({ body }) => Buffer.from(body).toString()),
  };
}

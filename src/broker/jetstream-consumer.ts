import type { Msg } from "@nats-io/transport-node";
import { createSlotMap } from "../domain/slot-map.ts";
import type { BrokerLog, ConsumeOptions, Consumer, IncomingMessage } from "./broker.ts";
import { createByteRoom } from "./byte-room.ts";
import { createFreeRoom, leastRoom } from "./free-room.ts";
import type { PersistentConnection } from "./jetstream-connection.ts";
import { jetStreamMessage, waitingBehind } from "./jetstream-message.ts";
import { type Pull, type PullEnd, pullMessages } from "./jetstream-pull.ts";

export interface JetStreamConsumerOptions extends ConsumeOptions {
  stream: string;
  consumer: string;
  heartbeatMs: number;
  /** Creates what is missing on the server: called when pulling fails, before it is tried again. */
  restore: () => Promise<void>;
  log: BrokerLog;
}

const pullExpiresMs = 30_000;
const maxOpenPulls = 2;
const firstRetryMs = 100;
const maxRetryMs = 5_000;

/**
 * Pulls messages for as long as nobody stops it: over lost connections, restarts of the server and a consumer that somebody deleted. What is
 * unacknowledged and what has been asked for is together never more than `maxUnacknowledged`.
 *
 * Its bytes are bounded here, and not by the `max_bytes` of a pull: nats-server 2.9 forgets its place where a message that comes again finds no request
 * that is large enough for it, and hands out another one twice.
 */
export function startJetStreamConsumer(
  { nats, listen }: PersistentConnection,
  options: JetStreamConsumerOptions,
  handle: (batch: readonly IncomingMessage[]) => void,
): Consumer {
  const { stream, consumer, maxBatch, maxUnacknowledged, log } = options;
  const pulls = new Set<Pull>();
  /** The bytes of each, by place: a message that is delivered again while it is still in work counts once. */
  const unacknowledged = createSlotMap<number>();
  let ready: IncomingMessage[] = [];
  /** The reply subject of the message that came last. */
  let lastReply: string | undefined;
  let stopped = false;
  let connected = true;
  let retryMs = 0;
  let retry: NodeJS.Timeout | undefined;

  const pullSize = Math.min(maxBatch, Math.ceil(maxUnacknowledged / maxOpenPulls));
  const freeRoom = createFreeRoom(leastRoom(maxUnacknowledged, pullSize));
  const byteRoom = createByteRoom(options.maxUnacknowledgedBytes);

  const asked = (): number => [...pulls].reduce((sum, pull) => sum + pull.remaining, 0);
  const waitingMessages = (): number => (lastReply === undefined ? 0 : waitingBehind(lastReply));
  const room = (): number => {
    const onTheirWay = asked();
    const limit = Math.min(maxUnacknowledged, options.presentLimit?.(waitingMessages) ?? maxUnacknowledged);
    const ofBytes = Math.ceil(byteRoom.messages(onTheirWay) / (maxOpenPulls - pulls.size));
    return Math.min(freeRoom.take(limit - unacknowledged.size - onTheirWay), ofBytes);
  };
  const refill = (): void => {
    while (!stopped && connected && retry === undefined && pulls.size < maxOpenPulls) {
      const batch = Math.min(pullSize, room());
      if (batch <= 0) {
        return;
      }
      open(batch);
    }
  };
  const open = (batch: number): void => {
    const pull = pullMessages(nats, {
      requestSubject: `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
      batch,
      expiresMs: pullExpiresMs,
      heartbeatMs: options.heartbeatMs,
      onMessage: receive,
      onEnd(end) {
        pulls.delete(pull);
        if (pull.remaining === batch) {
          byteRoom.forgetSizes();
        }
        ended(end);
      },
    });
    pulls.add(pull);
  };
  const ended = (end: PullEnd): void => {
    if (end.kind === "done") {
      refill();
    } else if (!stopped && connected && retry === undefined) {
      retryMs = Math.min(maxRetryMs, retryMs === 0 ? firstRetryMs : retryMs * 2);
      log("warn", `pulling from the consumer ${consumer} failed; trying again`, { why: end.why, retryMs });
      retry = setTimeout(() => void restoreAndRefill(), retryMs);
    }
  };
  const restoreAndRefill = async (): Promise<void> => {
    await options.restore().then(
      () => {
        retry = undefined;
        refill();
      },
      (error: unknown) => {
        retry = undefined;
        ended({ kind: "failed", why: error instanceof Error ? error.message : String(error) });
      },
    );
  };

  const receive = (message: Msg): void => {
    retryMs = 0;
    lastReply = message.reply;
    const incoming: IncomingMessage = jetStreamMessage(nats, message, () => {
      byteRoom.leave(unacknowledged.get(place) ?? 0);
      unacknowledged.delete(place);
      refill();
    });
    const { place } = incoming;
    if (stopped) {
      incoming.nak(0);
      return;
    }
    if (!unacknowledged.has(place)) {
      const bytes = incoming.body.byteLength;
      unacknowledged.set(place, bytes);
      byteRoom.enter(bytes);
    }
    // What comes in one turn of the event loop is handed out together.
    if (ready.push(incoming) === 1) {
      setImmediate(handOut);
    } else if (ready.length >= maxBatch) {
      handOut();
    }
  };
  const handOut = (): void => {
    if (ready.length > 0) {
      const batch = ready;
      ready = [];
      handle(batch);
    }
  };

  const stopListening = listen({
    onDisconnect() {
      // The server forgets the requests of a lost connection, and what it sent on it is delivered again.
      connected = false;
      for (const pull of pulls) {
        pull.abandon();
      }
      pulls.clear();
    },
    onReconnect() {
      connected = true;
      // The server may be another one, or one that lost its data.
      retry ??= setTimeout(() => void restoreAndRefill(), 0);
    },
  });
  refill();

  return {
    async stop() {
      stopped = true;
      stopListening();
      clearTimeout(retry);
      for (const message of ready.splice(0)) {
        message.nak(0);
      }
      // Until the inboxes are drained, messages still come, and are given back.
      await Promise.all([...pulls].map((pull) => pull.stop()));
      pulls.clear();
    },
  };
}

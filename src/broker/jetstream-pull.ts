import { setTimeout as delay } from "node:timers/promises";
import { createInbox, type Msg, type NatsConnection } from "@nats-io/transport-node";

/** How a pull request ended: filled or expired, or in a way after which the next one should wait or the consumer be looked at. */
export type PullEnd = { kind: "done" } | { kind: "failed"; why: string };

export interface Pull {
  /** How many messages may still come. */
  readonly remaining: number;
  /** Lets what is on its way arrive, as far as the server answers within a second, and takes nothing more. */
  stop(): Promise<void>;
  /** Takes nothing more: for a connection that is lost, whose requests the server forgets. */
  abandon(): void;
}

export interface PullOptions {
  /** `$JS.API.CONSUMER.MSG.NEXT.<stream>.<consumer>`. */
  requestSubject: string;
  batch: number;
  expiresMs: number;
  /** The server says this often that it is there; silence over two and a half times that ends the pull. */
  heartbeatMs: number;
  onMessage: (message: Msg) => void;
  /** Called once, unless the pull is stopped or abandoned. */
  onEnd: (end: PullEnd) => void;
}

const drainTimeoutMs = 1_000;
const nanosPerMs = 1_000_000;

/**
 * One request for up to `batch` messages, with an inbox of its own, so that it is known how many are still to come. The client library's
 * own loop asks for a full batch again after each reconnection, and so for more than the caller has room for.
 */
export function pullMessages(nats: NatsConnection, options: PullOptions): Pull {
  let remaining = options.batch;
  let ended = false;
  const inbox = createInbox();

  const end = (how: PullEnd): void => {
    if (!ended) {
      ended = true;
      clearTimeout(silence);
      subscription.unsubscribe();
      options.onEnd(how);
    }
  };
  const silence = setTimeout(() => end({ kind: "failed", why: "the server is silent" }), 2.5 * options.heartbeatMs);

  const subscription = nats.subscribe(inbox, {
    callback(error, message) {
      if (error) {
        end({ kind: "failed", why: error.message });
        return;
      }
      silence.refresh();
      if (message.subject === inbox) {
        const how = endOf(message);
        if (how !== undefined) {
          end(how);
        }
        return;
      }
      remaining--;
      options.onMessage(message);
      if (remaining === 0) {
        end({ kind: "done" });
      }
    },
  });
  const request = {
    batch: options.batch,
    expires: options.expiresMs * nanosPerMs,
    idle_heartbeat: options.heartbeatMs * nanosPerMs,
  };
  nats.publish(options.requestSubject, JSON.stringify(request), { reply: inbox });

  return {
    get remaining() {
      return remaining;
    },
    async stop() {
      if (!ended) {
        ended = true;
        clearTimeout(silence);
        await Promise.race([subscription.drain().catch(() => {}), delay(drainTimeoutMs, undefined, { ref: false })]);
      }
    },
    abandon() {
      if (!ended) {
        ended = true;
        clearTimeout(silence);
        subscription.unsubscribe();
      }
    },
  };
}

/** What a status message on the inbox says (https://docs.nats.io/reference/reference-protocols/nats_api_reference); undefined: go on. */
function endOf({ headers }: Msg): PullEnd | undefined {
  switch (headers?.code) {
    case 100:
      return undefined;
    case 404:
    case 408:
      return { kind: "done" };
    default:
      return { kind: "failed", why: `${headers?.code} ${headers?.description}` };
  }
}

import type { IncomingMessage } from "../broker/broker.ts";
import { createSlotMap } from "../domain/slot-map.ts";

/** The messages that this process has in work. */
export interface HeldMessages {
  hold(messages: readonly IncomingMessage[]): void;
  ack(message: IncomingMessage): void;
  giveBack(message: IncomingMessage, delayMs: number): void;
  /** Somebody else has settled it. */
  forget(message: IncomingMessage): void;
  /** Resolves when none is held. */
  whenEmpty(): Promise<void>;
}

/**
 * Tells the broker every `intervalMs`, which must be well below its patience, that the messages are still in work: while the database is away
 * nothing can be recorded, and another process would send the same again.
 */
export function createHeldMessages(intervalMs: number): HeldMessages {
  const held = createSlotMap<Held>();
  let passed = 0;
  let timer: NodeJS.Timeout | undefined;
  const waiting: (() => void)[] = [];

  const tell = (): void => {
    passed += 1;
    for (const { message, since } of held.values()) {
      // In the order of their coming: those that follow came in the interval that ends now.
      if (since === passed - 1) {
        return;
      }
      message.working();
    }
  };
  const forget = (message: IncomingMessage): boolean => {
    const wasHeld = held.delete(keyOf(message));
    if (wasHeld && held.size === 0) {
      clearInterval(timer);
      timer = undefined;
      for (const resolve of waiting.splice(0)) {
        resolve();
      }
    }
    return wasHeld;
  };

  return {
    hold(messages) {
      for (const message of messages) {
        held.set(keyOf(message), { message, since: passed });
      }
      timer ??= setInterval(tell, intervalMs).unref();
    },
    ack(message) {
      if (forget(message)) {
        message.ack();
      }
    },
    giveBack(message, delayMs) {
      if (forget(message)) {
        message.nak(delayMs);
      }
    },
    forget: (message) => void forget(message),
    async whenEmpty() {
      if (held.size > 0) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

interface Held {
  message: IncomingMessage;
  /** The number of intervals that had passed when the message came. */
  since: number;
}

/** One that comes again while it is held is another one: each is settled by itself. */
function keyOf({ place, deliveryCount }: IncomingMessage): string {
  return `${place} ${deliveryCount}`;
}

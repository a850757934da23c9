import type { AccessChannel } from "./access-channel.ts";

/**
 * Tells the other processes what was used up of limits in this one, and hears it from them, so that a limit holds for all of them together.
 * It is told after 100 ms at most, in messages that hold much at once, and only of what is in use: nothing is sent while nobody calls.
 */
export interface UsageSharing {
  /**
   * Counts what was used, or below 0 what was given back. It is told when `worthTelling` of it has come together: the part of a limit that a process may use in silence, so
   * that callers far from their limits cost nothing.
   */
  add(key: string, amount: number, worthTelling: number): void;
  /** What was counted goes unsaid from now on. */
  stop(): void;
}

export interface UsageSharingOptions {
  channel: Pick<AccessChannel, "publish" | "subscribe">;
  /** What kind of keys these are: two sharings of one process do not mix. */
  name: string;
  /** Unlike that of any other process. */
  processId: string;
  /** Another process used so much. */
  onUsed: (key: string, amount: number) => void;
  onFailure: (error: unknown) => void;
}

export function createUsageSharing(options: UsageSharingOptions): UsageSharing {
  const { channel, name, processId, onUsed, onFailure } = options;
  const silent = new Map<string, number>();
  const ready = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let sending = false;

  channel.subscribe(
    "limit-used-up",
    (payload) => {
      const message = readMessage(payload);
      if (message === undefined || message.name !== name || message.from === processId) return;
      for (const [key, amount] of message.used) onUsed(key, amount);
    },
    // What was missed is lost: for that time each process counted for itself.
    () => {},
  );

  async function send(): Promise<void> {
    sending = true;
    try {
      for (const payload of takeMessages()) await channel.publish("limit-used-up", payload);
    } catch (error) {
      onFailure(error);
    } finally {
      sending = false;
    }
  }

  /** The most that goes at once; what is left goes with the next. */
  function takeMessages(): string[] {
    const messages: string[] = [];
    let used: [string, number][] = [];
    let bytes = 0;
    for (const [key, amount] of ready) {
      const entry: [string, number] = [key, Math.round(amount * 1000) / 1000];
      const entryBytes = Buffer.byteLength(JSON.stringify(entry)) + 1;
      if (bytes + entryBytes > maxBytes) {
        messages.push(JSON.stringify({ name, from: processId, used }));
        [used, bytes] = [[], 0];
        if (messages.length === maxMessages) break;
      }
      ready.delete(key);
      used.push(entry);
      bytes += entryBytes;
    }
    if (used.length > 0) messages.push(JSON.stringify({ name, from: processId, used }));
    return messages;
  }

  function arm(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      if (!sending) void send();
      if (ready.size > 0) arm();
    }, intervalMs).unref();
  }

  return {
    add(key, amount, worthTelling) {
      const told = ready.get(key);
      if (told !== undefined) {
        ready.set(key, told + amount);
        return;
      }
      const unsaid = (silent.get(key) ?? 0) + amount;
      silent.delete(key);
      if (Math.abs(unsaid) < worthTelling) {
        silent.set(key, unsaid);
        forgetOldest(silent);
        return;
      }
      ready.set(key, unsaid);
      forgetOldest(ready);
      arm();
    },
    stop() {
      clearTimeout(timer);
      ready.clear();
    },
  };
}

/** Also how late a process may hear of what another one admitted, but for the way there. */
const intervalMs = 100;
/** What entries may take of a message: NOTIFY takes less than 8000 bytes, and the names of somebody else's tokens are part of keys. */
const maxBytes = 6_500;
const maxMessages = 8;
/** However many callers there are, or addresses that somebody calls from, this is what is remembered of them. */
const maxKeys = 20_000;

function forgetOldest(amounts: Map<string, number>): void {
  if (amounts.size <= maxKeys) return;
  for (const key of amounts.keys()) {
    amounts.delete(key);
    return;
  }
}

interface UsageMessage {
  name: string;
  from: string;
  used: [string, number][];
}

/** Undefined for what another version says in another form. */
function readMessage(payload: string): UsageMessage | undefined {
  try {
    const message = JSON.parse(payload) as Partial<UsageMessage>;
    return Array.isArray(message.used) ? (message as UsageMessage) : undefined;
  } catch {
    return undefined;
  }
}

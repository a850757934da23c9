import type { Sql, StopListening } from "../store/sql.ts";

/**
 * What the processes of a deployment tell each other about access: keys that were revoked, limits that are used up. It goes by NOTIFY on one
 * channel of the database, and each process listens on one connection of its own, this process's messages included.
 */
export interface AccessChannel {
  /**
   * Tells every process. With the `transaction` of a change they hear of it when it is committed, and not at all otherwise. At most 7 KiB of
   * text.
   */
  publish(kind: AccessMessageKind, payload: string, transaction?: Pick<Sql, "query">): Promise<void>;
  /** `onGap` is called where messages may have been missed. Nothing is called back before `start`. */
  subscribe(kind: AccessMessageKind, handler: (payload: string) => void, onGap: () => void): void;
  /** False: messages are missed at this moment, and `onGap` follows when they no longer are. */
  isListening(): boolean;
  /** Throws where the database cannot be reached. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** What a message is about. */
export type AccessMessageKind = "key-revoked" | "limit-used-up" | "limits-changed";

export function createAccessChannel(sql: Sql): AccessChannel {
  const subscribers: Subscriber[] = [];
  let listening: StopListening | undefined;

  function receive(text: string): void {
    const [kind = "", payload = ""] = splitOnce(text);
    for (const subscriber of subscribers) {
      if (subscriber.kind === kind) subscriber.handler(payload);
    }
  }

  return {
    async publish(kind, payload, transaction = sql) {
      await transaction.query(notify, [channel, `${kind} ${payload}`]);
    },
    subscribe(kind, handler, onGap) {
      subscribers.push({ kind, handler, onGap });
    },
    isListening: () => listening?.isListening() ?? false,
    async start() {
      listening = await sql.listen(channel, receive, () => {
        for (const { onGap } of subscribers) onGap();
      });
    },
    async stop() {
      const stopListening = listening;
      listening = undefined;
      await stopListening?.();
    },
  };
}

interface Subscriber {
  kind: AccessMessageKind;
  handler: (payload: string) => void;
  onGap: () => void;
}

const channel = "tellwire_access";
const notify = { name: "notify-access", text: "select pg_notify($1, $2)" };

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(" ");
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

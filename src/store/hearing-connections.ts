import type { ClientBase, Notification } from "pg";

/**
 * Connections that statements run on and that listen besides. The server sends a connection the notifications that it has for it before it says that a statement is
 * done, so whoever is told of changes has heard of all that was committed before the statement, and does not have to ask for it elsewhere. Such a
 * statement tells by its answer that its connection is one of them (`hasHeard`).
 */
export interface HearingConnections {
  /** Of each new connection, before anything else runs on it. */
  prepare(client: ClientBase): Promise<void>;
  /** To be called back from now on, by connections that are opened from now on, once by each. Returns what ends it. */
  join(listener: JoiningListener): () => void;
}

export interface JoiningListener {
  channel: string;
  onNotification: (payload: string) => void;
  /** Resolves when everything has been called back that was notified before. */
  caughtUp: () => Promise<void>;
}

/** For the select list of a statement that is planned once: whether its connection hears, as said above. */
export const hasHeard = "current_setting('tellwire.hears', true) is not null";

export function createHearingConnections(): HearingConnections {
  const listeners = new Set<JoiningListener>();
  let heard: string | undefined;

  const onNotification = ({ channel, payload = "" }: Notification): void => {
    if (channel !== heard) return;
    for (const listener of listeners) listener.onNotification(payload);
  };

  return {
    async prepare(client) {
      if (heard === undefined) return;
      client.on("notification", onNotification);
      await client.query(`listen ${heard}`);
      try {
        // What was committed before this connection listened was told to others only.
        await Promise.all([...listeners].map(({ caughtUp }) => caughtUp()));
      } catch {
        // Its statements do not say that they have heard: whoever needs to know asks.
        return;
      }
      await client.query("set tellwire.hears = 'yes'");
    },
    join(listener) {
      heard ??= listener.channel;
      if (listener.channel !== heard)
        throw new Error(`statements hear ${heard}, and cannot tell of ${listener.channel} too`);
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

import type { Socket } from "node:net";
import { Client, type Dispatcher } from "undici";
import { createSlotList } from "../domain/slot-list.ts";
import type { Connector } from "./connector.ts";
import { ExchangeFailure, headTooLarge } from "./exchange-failure.ts";

/** One connection to an origin, used by one exchange at a time. */
export interface Connection {
  /** Starts an exchange (see undici's Dispatcher). The connection is opened if it is not open. */
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void;
  /** The head of a response is complete, or a part of its body came. What comes in between is bounded. */
  noteProgress(): void;
  /** Whether the socket has served an exchange before, so that its receiver may have closed it meanwhile. */
  isReused(): boolean;
  /** Milliseconds since it was opened. */
  ageMs(): number;
  /** Gives the connection back for other exchanges. It is closed instead where its receiver answered without taking the request. */
  release(): void;
  /** Closes it at once, whatever it is doing: looking up a name, connecting, exchanging. */
  destroy(): void;
}

/** The connections of a process that are kept open between exchanges. */
export interface ConnectionPool {
  /** A connection that waits for work, or else a new one. */
  acquire(origin: string): Connection;
  /** A new connection. */
  open(origin: string): Connection;
  /** Closes the waiting connections; those in use are closed when they are released. */
  close(): void;
}

export interface ConnectionPoolOptions {
  connector: Connector;
  /** How many connections of one origin may wait for work. */
  maxIdlePerOrigin: number;
  /** How many connections may wait for work in all; beyond it the one that has waited longest is closed. */
  maxIdle: number;
  /** How long a connection may wait for work. A receiver's own `keep-alive: timeout=` counts instead, up to a minute. */
  idleTimeoutMs: number;
  /** How long after it was opened a connection may begin an exchange: then the name is looked up, and its addresses checked, anew. */
  maxAgeMs: number;
}

/**
 * Makes a pool that bounds what waits, and not what works: an exchange never queues behind another webhook's at the same origin. How many
 * exchanges run at a time is the caller's to bound.
 */
export function createConnectionPool(options: ConnectionPoolOptions): ConnectionPool {
  const { connector, maxIdlePerOrigin, maxIdle, idleTimeoutMs, maxAgeMs } = options;
  /** Of each origin that has connections, waiting or in use: an entry that came and went with each request would cost what slot-list.ts tells of. */
  const byOrigin = new Map<string, Siblings>();
  /** All waiting connections, the one that has waited longest first. */
  const idle = createSlotList<Connection>();
  let isClosed = false;

  function open(origin: string): Connection {
    const connection = openConnection(origin, { connector, idleTimeoutMs, onRelease, onDisconnect, onDestroy });
    const pooled: Pooled = { connection, place: undefined };
    const siblings = siblingsOf(origin);
    siblings.count += 1;
    return connection;

    function onRelease(): void {
      if (isClosed) {
        connection.destroy();
        return;
      }
      siblings.waiting.push(pooled);
      pooled.place = idle.add(connection);
      if (siblings.waiting.length > maxIdlePerOrigin) siblings.waiting[0]?.connection.destroy();
      if (idle.size > maxIdle) idle.first()?.destroy();
    }

    function onDisconnect(): void {
      // A connection in use stays with its exchange, which learns of it by itself.
      if (pooled.place !== undefined) connection.destroy();
    }

    function onDestroy(): void {
      if (pooled.place !== undefined) {
        siblings.waiting.splice(siblings.waiting.indexOf(pooled), 1);
        leaveIdle(pooled);
      }
      siblings.count -= 1;
      if (siblings.count === 0) byOrigin.delete(origin);
    }
  }

  function siblingsOf(origin: string): Siblings {
    const siblings = byOrigin.get(origin) ?? { count: 0, waiting: [] };
    byOrigin.set(origin, siblings);
    return siblings;
  }

  function takeIdle(origin: string): Connection | undefined {
    const pooled = byOrigin.get(origin)?.waiting.pop();
    if (pooled) leaveIdle(pooled);
    return pooled?.connection;
  }

  function leaveIdle(pooled: Pooled): void {
    if (pooled.place !== undefined) idle.remove(pooled.place);
    pooled.place = undefined;
  }

  return {
    open,
    acquire(origin) {
      for (;;) {
        const connection = takeIdle(origin);
        if (connection === undefined) return open(origin);
        if (connection.ageMs() < maxAgeMs) return connection;
        connection.destroy();
      }
    },
    close() {
      isClosed = true;
      for (const connection of idle.values()) connection.destroy();
    },
  };
}

/** The connections of one origin. */
interface Siblings {
  /** How many there are, waiting or in use. */
  count: number;
  /** The one used last at the end: it is taken first, so that surplus ones go idle and close. */
  waiting: Pooled[];
}

interface Pooled {
  connection: Connection;
  /** Among all that wait; undefined while it is in use. */
  place: number | undefined;
}

/**
 * What may be read while neither the head of a response is complete nor a byte of its body comes: the head itself, and what is thrown away,
 * such as chunk extensions and trailers. One read of the socket may exceed it before it is seen.
 */
const MAX_BYTES_WITHOUT_PROGRESS = 16 * 1024;

/** All that one exchange may read, informational responses too. Head and body are far less, even where each byte is a chunk. */
const MAX_EXCHANGE_BYTES = 256 * 1024;

interface ConnectionEvents {
  connector: Connector;
  idleTimeoutMs: number;
  onRelease: () => void;
  onDisconnect: () => void;
  /** Called once. */
  onDestroy: () => void;
}

function openConnection(origin: string, events: ConnectionEvents): Connection {
  const url = new URL(origin);
  let socket: Socket | undefined;
  let openedMs = performance.now();
  let releases = 0;
  let bytesBefore = 0;
  let bytesAtProgress = 0;
  let isDestroyed = false;
  const client = new Client(url, {
    allowH2: false,
    pipelining: 1,
    // Never reached, for `boundBytes` comes before it. Beyond its own limit undici makes an error for each further header of the same read:
    // a receiver could have our event loop for a tenth of a second a response.
    maxHeaderSize: MAX_EXCHANGE_BYTES,
    // The exchange's own deadline covers all of these.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: events.idleTimeoutMs,
    keepAliveMaxTimeout: 60_000,
    connect(_options, callback) {
      releases = 0;
      bytesBefore = bytesAtProgress = 0;
      openedMs = performance.now();
      socket = events.connector(url, (failure, ready) => {
        if (!ready) return callback(failure ?? new Error("a connector answered with nothing"), null);
        callback(null, ready);
        ready.on("readable", boundBytes);
      });
    },
  });
  client.on("disconnect", events.onDisconnect);

  return {
    dispatch(options, handler) {
      bytesBefore = bytesAtProgress = socket?.bytesRead ?? 0;
      client.dispatch(options, handler);
    },
    noteProgress() {
      bytesAtProgress = socket?.bytesRead ?? 0;
    },
    isReused: () => releases > 0,
    ageMs: () => performance.now() - openedMs,
    release() {
      releases += 1;
      // What the receiver has not taken would wait here, and the next request behind it.
      if (socket && socket.writableLength > 0) destroy();
      else events.onRelease();
    },
    destroy,
  };

  function boundBytes(this: Socket): void {
    const { bytesRead } = this;
    if (bytesRead - bytesAtProgress > MAX_BYTES_WITHOUT_PROGRESS) this.destroy(headTooLarge());
    else if (bytesRead - bytesBefore > MAX_EXCHANGE_BYTES) {
      this.destroy(
        new ExchangeFailure("PROTOCOL", "the response takes more than 256 KiB for the first 16 KiB of its body"),
      );
    }
  }

  function destroy(): void {
    if (isDestroyed) return;
    isDestroyed = true;
    events.onDestroy();
    // A socket that is still being opened is not known to undici yet.
    socket?.destroy();
    client.destroy().catch(() => {});
  }
}

import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A port of its own in front of a server, with connections that can be disturbed. Both directions are disturbed alike. */
export interface TcpProxy {
  port: number;
  /** Ends every connection. */
  cut(): void;
  /** From now on each piece arrives this much later, in its order; 0: at once. */
  delay(ms: number): void;
  /** Nothing passes until `resume`; what was sent meanwhile arrives then. */
  stall(): void;
  resume(): void;
  /** The connections of now pass nothing any more, new ones work. Answers with what ends them. */
  lose(): () => void;
  close(): Promise<void>;
}

/** Passes on what comes on a free port of the loopback interface to the port of the server, which may be away. */
export async function startTcpProxy(serverPort: number): Promise<TcpProxy> {
  const pairs = new Set<Pair>();
  let delayMs = 0;
  let stalled = false;

  const server = createServer((client) => {
    const target = connect({ port: serverPort, host: "127.0.0.1", noDelay: true });
    client.setNoDelay(true);
    const pair = joinSockets(client, target, () => delayMs);
    pairs.add(pair);
    pair.hold(stalled);
    client.once("close", () => pairs.delete(pair));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  const holdAll = (held: boolean): void => {
    stalled = held;
    for (const pair of pairs) {
      pair.hold(held);
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      for (const pair of pairs) {
        pair.end();
      }
    },
    delay(ms) {
      delayMs = ms;
    },
    stall: () => holdAll(true),
    resume: () => holdAll(false),
    lose() {
      const lost = [...pairs];
      for (const pair of lost) {
        pair.lose();
      }
      return () => {
        for (const pair of lost) {
          pair.end();
        }
      };
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const pair of pairs) {
        pair.end();
      }
      await closed;
    },
  };
}

interface Pair {
  hold(held: boolean): void;
  /** Holds for good. */
  lose(): void;
  end(): void;
}

/** When one side ends, so does the other: neither Postgres nor NATS closes half a connection. */
function joinSockets(client: Socket, server: Socket, delayMs: () => number): Pair {
  const directions = [passOn(client, server, delayMs), passOn(server, client, delayMs)];
  let lost = false;
  const end = (): void => {
    client.destroy();
    server.destroy();
  };
  for (const socket of [client, server]) {
    socket.on("error", end);
    socket.on("close", end);
  }
  return {
    hold(held) {
      for (const direction of directions) {
        direction.hold(held || lost);
      }
    },
    lose() {
      lost = true;
      this.hold(true);
    },
    end,
  };
}

/** Pieces on their way, each with the time of its arrival. */
function passOn(from: Socket, to: Socket, delayMs: () => number): { hold(held: boolean): void } {
  const waiting: { piece: Buffer; at: number }[] = [];
  let held = false;
  let timer: NodeJS.Timeout | undefined;

  const write = (piece: Buffer): void => {
    if (!to.destroyed && !to.write(piece)) {
      from.pause();
    }
  };
  const passWaiting = (): void => {
    clearTimeout(timer);
    timer = undefined;
    for (let next = waiting[0]; !held && next !== undefined; next = waiting[0]) {
      const leftMs = next.at - performance.now();
      if (leftMs > 0.5) {
        timer = setTimeout(passWaiting, leftMs);
        return;
      }
      waiting.shift();
      write(next.piece);
    }
  };

  from.on("data", (piece) => {
    const ms = delayMs();
    if (waiting.length === 0 && !held && ms === 0) {
      write(piece);
      return;
    }
    // In its order: not before the piece in front of it, even where the delay has become shorter.
    waiting.push({ piece, at: Math.max(performance.now() + ms, waiting.at(-1)?.at ?? 0) });
    if (timer === undefined) {
      passWaiting();
    }
  });
  to.on("drain", () => from.resume());
  from.once("close", () => clearTimeout(timer));
  return {
    hold(hold) {
      held = hold;
      passWaiting();
    },
  };
}

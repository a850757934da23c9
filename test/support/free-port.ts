import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import type { ServerProcess } from "./server-process.ts";

/**
 * Starts a server that cannot choose a free port of the loopback interface by itself. Another test may take the port between the choice and the
 * start: then the next one is tried.
 */
export async function startOnFreePort<Started extends { server: ServerProcess }>(
  start: (port: number) => Promise<Started>,
): Promise<Started> {
  for (let triesLeft = 2; ; triesLeft--) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (triesLeft === 0 || !(error instanceof Error && /address already in use/i.test(error.message))) {
        throw error;
      }
    }
  }
}

/**
 * A free port of the loopback interface, for whoever has to know it before anybody listens there, or listens there again later. It is none of
 * those that a system gives out by itself (from 32768 on with Linux, from 49152 on elsewhere), which a server or a connection that opens in the meantime would get.
 */
export async function freePort(): Promise<number> {
  for (let triesLeft = 100; triesLeft > 0; triesLeft--) {
    const port = randomInt(10_000, 30_000);
    if (await isFree(port)) return port;
  }
  throw new Error("found no free port from 10000 to 30000");
}

async function isFree(port: number): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const server = createServer().once("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EADDRINUSE") resolve(false);
    else reject(error);
  });
  server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  return await promise;
}

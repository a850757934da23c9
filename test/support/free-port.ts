import { createServer } from "node:net";
import type { ServerProcess } from "./server-process.ts";

/**
 * Starts a server that cannot choose a free port of the loopback interface by itself. Another process may take the port between the choice and
 * the start: then the next one is tried.
 */
export async function startOnFreePort<Started extends { server: ServerProcess }>(
  start: (port: number) => Promise<Started>,
): Promise<Started> {
  for (let triesLeft = 2; ; triesLeft--) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (triesLeft === 0 || !(error instanceof Error && error.message.includes("Address already in use"))) {
        throw error;
      }
    }
  }
}

async function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer().once("error", reject);
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
  });
  return await promise;
}

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A receiver on a free port of the loopback interface. */
export interface DrippingReceiver {
  url: string;
  /** How many requests came so far. */
  requests(): number;
  /** Ends every connection too. */
  close(): Promise<void>;
}

/** Starts a receiver that answers at once, and sends its response a byte at a time, without end. */
export async function startDrippingReceiver(): Promise<DrippingReceiver> {
  let requests = 0;
  const server = createServer((incoming, response) => {
    requests += 1;
    incoming.resume();
    response.writeHead(200);
    const drip = setInterval(() => response.write("."), 20);
    response.on("close", () => clearInterval(drip));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests: () => requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

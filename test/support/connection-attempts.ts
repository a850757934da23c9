import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

/** The connections that this process has tried to make since `watchConnectionAttempts`, as `address:port`, whether anybody was there or not. */
export interface ConnectionAttempts {
  made: string[];
  stop(): void;
}

/** Sees every TCP connection of Node before the first packet leaves: a socket tells of each address that it tries (`connectionAttempt`). */
export function watchConnectionAttempts(): ConnectionAttempts {
  const made: string[] = [];
  const onSocket = (message: unknown) => {
    const { socket } = message as { socket: Socket };
    socket.on("connectionAttempt", (address: string, port: number) => void made.push(`${address}:${port}`));
  };
  subscribe("net.client.socket", onSocket);
  return { made, stop: () => void unsubscribe("net.client.socket", onSocket) };
}

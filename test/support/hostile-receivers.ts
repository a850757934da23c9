import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { HostileMessage } from "./hostile-receivers-worker.ts";

/** Servers that misbehave, each in its own way, on free ports of the loopback interface. */
export interface HostileReceivers {
  receivers: readonly { misbehaviour: string; url: string }[];
  /** How many connections came to the one that misbehaves so. */
  connections(misbehaviour: string): number;
  close(): Promise<void>;
}

/** Starts them in a thread of their own, so that the test's own event loop and heap hold nothing but what is tested. */
export async function startHostileReceivers(): Promise<HostileReceivers> {
  const counts = new Map<string, number>();
  const worker = new Worker(new URL("./hostile-receivers-worker.ts", import.meta.url));
  const [first] = (await once(worker, "message")) as [HostileMessage];
  if (!("receivers" in first)) throw new Error("the hostile receivers did not say where they are");
  worker.on("message", (message: HostileMessage) => {
    if ("connected" in message) counts.set(message.connected, (counts.get(message.connected) ?? 0) + 1);
  });
  return {
    receivers: first.receivers,
    connections: (misbehaviour) => counts.get(misbehaviour) ?? 0,
    close: async () => void (await worker.terminate()),
  };
}

import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/**
 * Megabytes that objects and buffers take, after what nobody needs is gone. One collection does not tell: a socket that was closed is let go in a later
 * turn of the event loop, and the bytes of buffers that were found to be garbage are given back by another thread, and count until the next collection.
 */
export async function memoryInUse(): Promise<number> {
  for (let collection = 1; collection <= collections; collection += 1) {
    await nextTurn();
    collectGarbage();
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1024 / 1024;
}

const collections = 5;

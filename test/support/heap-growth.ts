import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Does something so many times, with collections of young objects in between and none of old ones, and says by how many bytes the heap has grown: what
 * is reachable, and what came and went in the meantime but lived long enough to be old.
 */
export async function heapGrowth(times: number, work: (number: number) => unknown): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { type: "minor" | "major" }) => void;
  collect({ type: "major" });
  const before = process.memoryUsage().heapUsed;
  for (let number = 0; number < times; number++) {
    await work(number);
    if (number % Math.ceil(times / 20) === 0) collect({ type: "minor" });
  }
  collect({ type: "minor" });
  return process.memoryUsage().heapUsed - before;
}

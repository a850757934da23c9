import { performance } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";

/**
 * Collects the whole heap when the process has been quiet for a minute, so that memory it took while it was busy goes back to the system. V8 would do that by
 * itself, but also in the middle of work, 100 s after the last time, which holds up the deliveries of half a second: `bin/tellwire.mjs` turns it off.
 *
 * Needs Node's `--expose-gc`, which comes with that: without it nothing is done here, and V8 does as it always does.
 */
export function giveBackWhenQuiet(collect: Collect | undefined = globalThis.gc, everyMs = 60_000): void {
  if (collect === undefined) return;
  let usage = performance.eventLoopUtilization();
  let leftBytes = 0;
  const look = (): void => {
    const before = usage;
    usage = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(usage, before);
    if (utilization > quietUtilization || heapBytes() < leftBytes + worthwhileBytes) return;
    // The only flavor that returns pages to the system.
    collect({ type: "major", flavor: "last-resort", execution: "sync" });
    leftBytes = heapBytes();
  };
  setInterval(look, everyMs).unref();
}

type Collect = (options: { type: "major"; flavor: "last-resort"; execution: "sync" }) => void;

/** Of memory that V8 has from the system for its heap, used or not. */
function heapBytes(): number {
  return getHeapStatistics().total_heap_size;
}

/** The share of the time in which the event loop had something to do: a few dozen deliveries a second. */
const quietUtilization = 0.05;
/** It takes a tenth of a second and more, so it has to be worth it. */
const worthwhileBytes = 32 * 1024 * 1024;

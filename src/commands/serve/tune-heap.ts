import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/**
 * Sets V8 for a process in which very many short-lived objects come and go, of which none is worth keeping. To be called before the work begins.
 *
 * - The heap grows by some tens of megabytes before the whole of it is collected, instead of up to four times: what a delivery leaves behind lives for
 *   milliseconds, a large heap brings no speed, and its collections take longer. A small one grows by as much as a larger one, because each collection
 *   holds up the deliveries of a tenth of a second.
 * - New objects always begin as young ones. By itself V8 learns where long-lived objects are made, and makes them among the old ones from
 *   then on. A backlog, while which all events live long, teaches it that of events, and it does not unlearn: afterwards each
 *   event stays, with all that it refers to, until the next collection of the whole heap, and these come one after the other.
 */
export function tuneHeap(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
  setGrowth();
  // V8 asks for it at the end of each collection, and the heap is as large then as it was some seconds before.
  setInterval(setGrowth, lookMs).unref();
}

function setGrowth(): void {
  const old = getHeapSpaceStatistics().filter(({ space_name }) => !space_name.startsWith("new_"));
  const bytes = old.reduce((sum, { space_used_size }) => sum + space_used_size, 0);
  setFlagsFromString(`--heap-growing-percent=${growingPercent(bytes)}`);
}

/**
 * By how much a heap of this many bytes, without its young objects, grows before it is collected: by 48 MiB, and no less than three tenths, nor more
 * than itself.
 */
export function growingPercent(heapBytes: number): number {
  return Math.min(100, Math.max(30, Math.round((100 * growth) / heapBytes)));
}

const growth = 48 * 1024 * 1024;
const lookMs = 5_000;

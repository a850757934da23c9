import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/**
 * Sets V8 for a process in which very many short-lived objects come and go, of which none is worth keeping. To be called before the work begins.
 *
 * - The heap grows by three tenths at a time before the whole of it is collected, instead of up to four times: what a delivery leaves behind lives for
 *   milliseconds, a large heap brings no speed, and its collections take longer. One of usual size grows by more (`growingPercent`), because
 *   each collection holds up deliveries for half a second and more where the processors are busy.
 * - New objects always begin as young ones. By itself V8 learns where long-lived objects are made, and makes them among the old ones from
 *   then on. A backlog, while which all events live long, teaches it that of events, and it does not unlearn: afterwards each
 *   event stays, with all that it refers to, until the next collection of the whole heap, and these come one after the other.
 */
export function tuneHeap(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
  // V8 asks for the growth at the end of a collection, when nothing of this runs: it has what was known right before.
  const atStart = oldBytes();
  let size: HeapSize = { kept: atStart, now: atStart };
  const look = (): void => {
    const now = oldBytes();
    size = { kept: now < size.now - noticedBytes ? now : size.kept, now };
    setFlagsFromString(`--heap-growing-percent=${growingPercent(size)}`);
  };
  look();
  setInterval(look, lookMs).unref();
}

/** Of what is not young, in bytes: what the last collection of the whole heap has left, and what is there now. */
export interface HeapSize {
  kept: number;
  now: number;
}

/**
 * By how much the heap is to grow from one collection of the whole of it to the next: up to 112 MiB, but no more than twofold, and no less than by three tenths.
 * Above that by three tenths always: such a heap may be that large because what it keeps has grown.
 */
export function growingPercent({ kept, now }: HeapSize): number {
  if (now > usualBytes + overshootBytes) return leastPercent;
  return Math.min(100, Math.max(leastPercent, Math.round((100 * (usualBytes - kept)) / kept)));
}

function oldBytes(): number {
  const old = getHeapSpaceStatistics().filter(({ space_name }) => !space_name.startsWith("new_"));
  return old.reduce((sum, { space_used_size }) => sum + space_used_size, 0);
}

const mebibyte = 1024 * 1024;
const usualBytes = 112 * mebibyte;
/** By how much the heap grows at most while it is being collected, at the usual pace. */
const overshootBytes = 16 * mebibyte;
/** A heap that is smaller by this much has been collected. */
const noticedBytes = 4 * mebibyte;
const leastPercent = 30;
const lookMs = 250;

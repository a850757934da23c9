import { setFlagsFromString } from "node:v8";

/**
 * Sets V8 for a process in which very many short-lived objects come and go, of which none is worth keeping. To be called before the work begins.
 *
 * - The heap grows by three tenths at a time before it is collected, instead of up to four times: what a delivery leaves behind lives for milliseconds, a
 *   large heap brings no speed, and its collections take longer.
 * - New objects always begin as young ones. By itself V8 learns where long-lived objects are made, and makes them among the old ones from
 *   then on. A backlog, while which all events live long, teaches it that of events, and it does not unlearn: afterwards each
 *   event stays, with all that it refers to, until the next collection of the whole heap, and these come one after the other.
 */
export function tuneHeap(): void {
  setFlagsFromString("--heap-growing-percent=30");
  setFlagsFromString("--no-allocation-site-pretenuring");
}

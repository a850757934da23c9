/**
 * How long ago something was, by a clock that may have been set meanwhile: then it is the distance, whichever way, so that nothing stays young for as
 * long as the clock was set back. Both in milliseconds.
 */
export function ageMs(atMs: number, nowMs: number): number {
  return Math.abs(nowMs - atMs);
}

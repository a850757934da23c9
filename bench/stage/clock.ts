/**
 * Microseconds of the machine's monotonic clock. Every process on one machine reads the same one (CLOCK_MONOTONIC), so that times of different
 * processes can be compared, which those of `performance.now()` cannot.
 */
export function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

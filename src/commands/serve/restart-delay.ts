/**
 * How long to wait before a process that ended is started again, in milliseconds. `endsInARow` counts the ends without a longer life
 * between them, this one included: the first is followed at once, further ones after 1 s, 2 s, 4 s and so on up to 30 s.
 */
export function restartDelayMs(endsInARow: number): number {
  return endsInARow <= 1 ? 0 : Math.min(maxDelayMs, firstDelayMs * 2 ** (endsInARow - 2));
}

const firstDelayMs = 1_000;
const maxDelayMs = 30_000;

/** What was measured at last, and what was measured before and is not counted. */
export interface Undisturbed<Measured> {
  kept: Measured;
  disturbed: Measured[];
}

/** Of the processors' time. The p99 of windows in which more was stolen is twice as high, whatever goes on in them (`docs/performance.md`). */
const mostStolen = 0.02;

/**
 * Measures again while the hypervisor gives much of the machine to others, but no more than `tries` times. What was stolen is all that decides, also on
 * what is kept where every try was disturbed: the least disturbed.
 */
export async function undisturbed<Measured>(
  measure: () => Promise<Measured>,
  { tries, stolenIn }: { tries: number; stolenIn: (measured: Measured) => number },
): Promise<Undisturbed<Measured>> {
  let kept = await measure();
  const disturbed: Measured[] = [];
  for (let tried = 1; tried < tries && stolenIn(kept) > mostStolen; tried++) {
    const again = await measure();
    const isBetter = stolenIn(again) < stolenIn(kept);
    disturbed.push(isBetter ? kept : again);
    if (isBetter) kept = again;
  }
  return { kept, disturbed };
}

import { Counter, type CounterConfiguration } from "prom-client";

/** A counter for what happens thousands of times a second. */
export interface TalliedCounter<Label extends string> {
  /** The tally of these labels, to be asked for once and kept. A counter that counted nothing yet does not show the labels. */
  tally(labels: Record<Label, string>): Tally;
}

/** How often something happened since the counter was asked last: whoever sees it happen adds one. */
export interface Tally {
  count: number;
}

/**
 * Makes a counter that takes its tallies over whenever it is asked. prom-client writes and looks up a text of the labels at each increment, which costs as
 * much as ten of these, and so do its own children.
 */
export function createTalliedCounter<Label extends string>(
  configuration: CounterConfiguration<Label>,
): TalliedCounter<Label> {
  const tallies: [Record<Label, string>, Tally][] = [];
  new Counter({
    ...configuration,
    collect() {
      for (const [labels, tally] of tallies) {
        if (tally.count > 0) this.inc(labels, tally.count);
        tally.count = 0;
      }
    },
  });
  return {
    tally(labels) {
      const tally = { count: 0 };
      tallies.push([labels, tally]);
      return tally;
    },
  };
}

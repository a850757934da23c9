import type { Scrape } from "../../telemetry/metrics.ts";

export interface SharedScrapeOptions {
  /** This process's own figures. */
  own: Scrape;
  /** The number of this process. */
  number: number;
  /** Asks the supervisor for the figures of all processes. Undefined: it did not answer in time. */
  sum: () => Promise<string | undefined>;
}

/** Answers a scrape with the figures of all processes, or with those of this one, and a comment that says so. */
export function createSharedScrape({ own, number, sum }: SharedScrapeOptions): Scrape {
  return {
    contentType: own.contentType,
    async metrics() {
      const text = await sum();
      if (text !== undefined) return text;
      return `# The supervisor did not answer in time: these are the figures of process ${number} alone.\n${await own.metrics()}`;
    },
  };
}

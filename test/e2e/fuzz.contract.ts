import { expect, test } from "vitest";
import { doorNames } from "../../fuzz/doors.ts";
import { runFuzz } from "../../fuzz/run-fuzz.ts";
import type { Store } from "../../fuzz/servers.ts";

/** A short run of the harness of `npm run fuzz`: what may be found is looked into with the longer one, and the same seed. */
export function describeFuzzing(store: Store, seed: number): void {
  test(`on ${store}, requests of every kind at every door break nothing (seed ${seed})`, {
    timeout: 900_000,
  }, async () => {
    const report = await runFuzz({
      store,
      seed,
      requests: 2_000,
      doors: doorNames,
      timeLimitMs: 600_000,
      onProgress: () => {},
      onFinding: () => {},
    });
    expect(report.findings).toEqual([]);
    // It was worth the name: every door was gone through, and some requests were good.
    expect(report.doors.map(({ door }) => door)).toEqual(
      store === "jetstream" ? doorNames : doorNames.filter((name) => name !== "nats"),
    );
    expect(report.requests).toBeGreaterThanOrEqual(2_000);
    for (const name of ["rest", "connect-json", "connect-binary", "dialects"]) {
      expect(report.doors.find(({ door }) => door === name)?.answers["200"], name).toBeGreaterThan(0);
    }
  });
}

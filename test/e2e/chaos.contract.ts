import { expect, test } from "vitest";
import type { ChaosReport } from "../../chaos/chaos-report.ts";
import { runChaos } from "../../chaos/run-chaos.ts";

const seed = 7;

/** A short run of the harness of `npm run chaos`: what may fail is looked into with the longer one, and the same seed. */
export function describeChaos(broker: "jetstream" | "postgres"): void {
  test(`on ${broker}, six kills amid cuts and stalls lose nothing, leave nothing stuck and keep the order (seed ${seed})`, {
    timeout: 900_000,
  }, async () => {
    const failures: Record<string, unknown>[] = [];
    const report = await runChaos({
      broker,
      seed,
      events: 1_000,
      kills: 6,
      processes: 2,
      durationMs: 10_000,
      onProgress: () => {},
      onResult: (_report, problems) => void failures.push(...problems),
    });
    expect(failures).toEqual([]);
    expect(report).toMatchObject({ lost: 0, stuck: 0, crashes: 0, hasFailed: false } satisfies Partial<ChaosReport>);
    expect(report.received + report.exhausted).toBe(report.expected);
    // It was worth the name: the events flowed, all kills took place, and some deliveries were given up.
    expect(report.accepted).toBeGreaterThan(800);
    expect(Object.values(report.disturbances.kills).reduce((sum, kills) => sum + kills, 0)).toBe(6);
    expect(report.exhausted).toBeGreaterThan(0);
  });
}

import { expect, test } from "vitest";
import { planDisturbances } from "../../chaos/disturbances.ts";

const plan = { seed: 5, broker: "jetstream", kills: 30, processes: 2, durationMs: 100_000 } as const;

test("the same seed breaks the same things at the same times, and another seed others", () => {
  expect(planDisturbances(plan)).toEqual(planDisturbances(plan));
  expect(planDisturbances(plan)).not.toEqual(planDisturbances({ ...plan, seed: 6 }));
});

test("there are as many kills as were asked for, of every kind of server, within the time and in its order", () => {
  const disturbances = planDisturbances(plan);
  const killed = disturbances.flatMap((disturbance) => (disturbance.kind === "kill" ? disturbance.target : []));
  expect(killed).toHaveLength(plan.kills);
  expect(new Set(killed)).toEqual(new Set(["tellwire 1", "tellwire 2", "postgres", "nats"]));
  const times = disturbances.map(({ atMs }) => atMs);
  expect(times).toEqual(times.toSorted((one, other) => one - other));
  expect(times.every((atMs) => atMs > 0 && atMs < plan.durationMs)).toBe(true);
});

test("without NATS nothing is planned for it", () => {
  const told = JSON.stringify(planDisturbances({ ...plan, broker: "postgres" }));
  expect(told).not.toContain("nats");
  expect(told).toContain("postgres");
});

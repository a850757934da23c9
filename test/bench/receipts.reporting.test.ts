import { expect, it } from "vitest";
import { createReceipts } from "../../bench/processes/receipts.ts";
import { nowMicros } from "../../bench/stage/clock.ts";
import { quantilesOf } from "../../bench/stage/quantiles.ts";

it("the latencies of a group are those that its report is about, in the order of receipt", () => {
  const receipts = createReceipts();
  const agesMs = [4_000, 1_000, 3_000];
  for (const [number, ageMs] of agesMs.entries()) {
    receipts.add("/group/0-0", `evt_${number}`, Buffer.from(`{"data":{"at":${nowMicros() - ageMs * 1000},"n":1}}`));
  }
  // What tells no time of its publishing is counted, and has no latency.
  receipts.add("/group/0-0", "evt_3", Buffer.from('{"data":{}}'));
  const latenciesMs = receipts.latenciesMs();
  expect([...latenciesMs].map((ms) => Math.floor(ms / 1000))).toEqual([4, 1, 3]);
  expect(receipts.report().latencyMs).toEqual(quantilesOf(latenciesMs));
  expect(receipts.report()).toMatchObject({ received: 4, distinct: 4 });
});

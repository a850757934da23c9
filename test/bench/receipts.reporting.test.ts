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

it("a pair of webhook and id that comes again counts as received, and as one", () => {
  const receipts = createReceipts();
  const body = Buffer.from("{}");
  const count = 50_000;
  for (let number = 0; number < count; number++) {
    const id = `evt_${String(number).padStart(26, "0")}`;
    receipts.add("/group/0-0", id, body);
    if (number % 1_000 === 0) receipts.add("/group/0-0", id, body);
    // The same id at another webhook is another pair.
    if (number % 500 === 0) receipts.add("/group/0-1", id, body);
  }
  expect(receipts.report()).toMatchObject({ received: count + 50 + 100, distinct: count + 100 });
});

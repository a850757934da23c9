import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { createTalliedCounter } from "../../src/telemetry/tallied-counter.ts";

it("each scrape shows all that was counted until then, once", async () => {
  const { registry, counter } = start();
  const paid = counter.tally({ outcome: "paid" });
  const open = counter.tally({ outcome: "open" });
  paid.count += 1;
  paid.count += 1;
  open.count += 1;
  expect(await linesOf(registry)).toEqual(['orders_total{outcome="paid"} 2', 'orders_total{outcome="open"} 1']);
  paid.count += 1;
  expect(await linesOf(registry)).toEqual(['orders_total{outcome="paid"} 3', 'orders_total{outcome="open"} 1']);
});

it("labels of which nothing was counted are not shown", async () => {
  const { registry, counter } = start();
  counter.tally({ outcome: "paid" });
  expect(await linesOf(registry)).toEqual([]);
});

function start() {
  const registry = new Registry();
  const counter = createTalliedCounter({
    name: "orders_total",
    help: "Orders.",
    labelNames: ["outcome"],
    registers: [registry],
  });
  return { registry, counter };
}

async function linesOf(registry: Registry): Promise<string[]> {
  return (await registry.metrics()).split("\n").filter((line) => line.startsWith("orders_total{"));
}

import { nowMicros } from "../stage/clock.ts";
import { createNumberList, type NumberList } from "../stage/number-list.ts";
import { type Quantiles, quantilesOf } from "../stage/quantiles.ts";
import { createPairLog } from "./pair-log.ts";

/** What arrived for one group of webhooks since the last reset. Times in microseconds of the machine's clock, latencies in milliseconds. */
export interface ReceiptReport {
  received: number;
  /** Different pairs of webhook and `webhook-id`. */
  distinct: number;
  /** When a tenth and nine tenths of all had arrived: between them the rate is steady. */
  firstAt: number;
  tenthAt: number;
  nineTenthsAt: number;
  lastAt: number;
  /** From the time of publishing, which stands in the event, to the last byte of the request. */
  latencyMs: Quantiles;
}

/** Counts the requests of one group of webhooks. */
export interface Receipts {
  add(path: string, webhookId: string, body: Buffer): void;
  count(): number;
  report(): ReceiptReport;
  /** All of those whose quantiles the report tells, in the order of their receipt: a view, valid until the next `add`. */
  latenciesMs(): Float64Array;
}

/** Nothing has arrived yet. */
export function createReceipts(): Receipts {
  const pairs = createPairLog();
  const times: NumberList = createNumberList();
  const latencies: NumberList = createNumberList();

  return {
    add(path, webhookId, body) {
      const now = nowMicros();
      times.add(now);
      const publishedAt = publishedAtOf(body);
      if (publishedAt !== undefined) latencies.add((now - publishedAt) / 1000);
      pairs.add(path, webhookId);
    },
    count: () => times.values().length,
    report() {
      const all = times.values();
      const at = (share: number): number => all[Math.floor((all.length - 1) * share)] ?? Number.NaN;
      return {
        received: all.length,
        distinct: pairs.distinct(),
        firstAt: at(0),
        tenthAt: at(0.1),
        nineTenthsAt: at(0.9),
        lastAt: at(1),
        latencyMs: quantilesOf(latencies.values()),
      };
    },
    latenciesMs: () => latencies.values(),
  };
}

/** The publisher puts the time first into the event's data: `{"at":123456789,…`. */
function publishedAtOf(body: Buffer): number | undefined {
  const start = body.indexOf(marker);
  if (start === -1) return undefined;
  const text = body.toString("latin1", start + marker.length, start + marker.length + 20);
  return Number.parseInt(text, 10);
}

const marker = '"at":';

import { median } from "../median.ts";
import { compare } from "../stage/compare.ts";
import { addFinishedDeliveries } from "../stage/delivery-rows.ts";
import { withSession } from "../stage/session.ts";
import type { Stage } from "../stage/stage.ts";
import { burstRow, cpuRow } from "../stage/tables.ts";
import type { Part } from "./part.ts";
import { createPlainSite, measureSite, type Site } from "./plain.ts";

/** Millions of finished deliveries of the past days in the tables, with their events and attempts. */
export const rows: Part = {
  help: "throughput and listing with 5 million finished deliveries in the tables, against none",
  async run({ stage, scale }) {
    const plain = await createPlainSite(stage);
    const full = await createPlainSite(stage);
    const started = performance.now();
    await addFinishedDeliveries(full.databaseUrl, { group: full.traffic.group, count: scale.rows, days: pastDays });
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`\n${scale.rows} deliveries written in ${seconds} s, over ${pastDays} days`);
    const result = await compare(scale.rounds, {
      plain: () => measureSite(stage, plain, scale),
      other: () => measureSite(stage, full, scale),
    });
    const lists = { plain: await measureLists(stage, plain), other: await measureLists(stage, full) };
    console.log(`${scale.rows} deliveries: ${result.ratio.toFixed(2)} times the throughput with none`);
    console.table([burstRow("no rows before", result.plain), burstRow(`${scale.rows} rows`, result.other)]);
    console.table([cpuRow("no rows before", result.plain), cpuRow(`${scale.rows} rows`, result.other)]);
    console.table([listRow("no rows before", lists.plain), listRow(`${scale.rows} rows`, lists.other)]);
    return { rows: scale.rows, ...result, lists };
  },
};

/** How far back the deliveries go: within the retention of payloads. */
const pastDays = 20;

/** Pages of 100 deliveries of an organization, by the API; medians, in milliseconds. */
interface ListTimes {
  firstPageMs: number;
  deepPageMs: number;
  /** The number of the last page that was read. */
  depth: number;
}

const pageSize = 100;
const maxDepth = 300;
/** How often the first page is read, and how many of the last pages count as deep. */
const reads = 30;

async function measureLists(stage: Stage, { databaseUrl, traffic }: Site): Promise<ListTimes> {
  const organizationId = traffic.subjects[0]?.split(".")[2] ?? "";
  return await withSession(stage, { databaseUrl }, async ({ tellwire }) => {
    const read = async (pageToken: string): Promise<{ ms: number; next: string }> => {
      const query = new URLSearchParams({ organizationId, pageSize: String(pageSize), pageToken });
      const started = performance.now();
      const page = await tellwire.rest<{ nextPageToken?: string }>("GET", `/v1/deliveries?${query}`);
      return { ms: performance.now() - started, next: page.nextPageToken ?? "" };
    };
    const first: number[] = [];
    for (let time = 0; time < 2 * reads; time++) first.push((await read("")).ms);
    const deep: number[] = [];
    let { next } = await read("");
    while (next !== "" && deep.length < maxDepth) {
      const page = await read(next);
      deep.push(page.ms);
      next = page.next;
    }
    return { firstPageMs: median(first.slice(reads)), deepPageMs: median(deep.slice(-reads)), depth: deep.length + 1 };
  });
}

function listRow(name: string, { firstPageMs, deepPageMs, depth }: ListTimes): Record<string, string | number> {
  return {
    "list deliveries, ms": name,
    "first page": firstPageMs.toFixed(1),
    "deep page": deepPageMs.toFixed(1),
    depth,
  };
}

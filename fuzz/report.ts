import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { DoorReport, Finding, FuzzReport } from "./fuzz-report.ts";
import { inMib } from "./memory.ts";

/** Where results are kept; git does not look at it. */
const resultsFolder = fileURLToPath(new URL("results/", import.meta.url));

/** A run for people: a line a door, then what it cost, then what was found. */
export function formatReport(report: FuzzReport): string {
  const { doors, memory, findings, findingCount } = report;
  const width = Math.max(...doors.map(({ door }) => door.length));
  const lines = doors.map(
    (each) => `${each.door.padEnd(width)}  ${each.requests.toLocaleString("en").padStart(8)}  ${answersOf(each)}`,
  );
  const seconds = report.durationMs / 1000;
  return [
    `${report.store}, seed ${report.seed}`,
    ...lines,
    `${report.requests.toLocaleString("en")} requests in ${seconds.toFixed(0)} s`,
    `heap ${inMib(memory.warm.heapBytes)} after the warm-up, ${inMib(memory.end.heapBytes)} at the end`,
    `resident ${inMib(memory.warm.rssBytes)} after the warm-up, ${inMib(memory.end.rssBytes)} at the end`,
    `${findingCount} findings`,
    ...findings.slice(0, 40).map(formatFinding),
  ].join("\n");
}

/** A finding for people: where, what, and what was sent. */
export function formatFinding({ door, problem, request }: Finding): string {
  const sent = request === undefined ? "" : `\n    ${request.slice(0, 500)}`;
  return `  ${door ?? "server"}: ${problem}${sent}`;
}

/** Writes the figures and the findings into a file of their own. Answers with its path. */
export function saveReports(reports: readonly FuzzReport[]): string {
  const time = new Date().toISOString();
  const machine = { node: process.version, platform: process.platform, cpu: cpus()[0]?.model, cores: cpus().length };
  mkdirSync(resultsFolder, { recursive: true });
  const path = join(resultsFolder, `${time.replaceAll(":", "")}.json`);
  writeFileSync(path, `${JSON.stringify({ time, machine, reports }, null, 2)}\n`);
  return relative(process.cwd(), path);
}

/** The most frequent first. */
function answersOf({ answers }: DoorReport): string {
  const sorted = Object.entries(answers).sort(([, one], [, other]) => other - one);
  return sorted.map(([label, count]) => `${label} ${count}`).join(", ");
}

import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { ChaosReport } from "./chaos-report.ts";

/** Where results are kept, and the logs of runs that failed; git does not look at it. */
const resultsFolder = fileURLToPath(new URL("results/", import.meta.url));

/** The figures of runs as a table, one run a column. */
export function formatReports(reports: readonly ChaosReport[]): string {
  const columns = [["", ...rows.map(([name]) => name)], ...reports.map(columnOf)];
  const widths = columns.map((cells) => Math.max(...cells.map(({ length }) => length)));
  const lines = (columns[0] ?? []).map((_, row) =>
    columns
      .map((cells, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? (cells[row] ?? "").padEnd(width) : (cells[row] ?? "").padStart(width);
      })
      .join("  "),
  );
  return lines.map((line) => line.trimEnd()).join("\n");
}

function columnOf(report: ChaosReport): string[] {
  return [`${report.broker} ${report.seed}`, ...rows.map(([, cell]) => cell(report))];
}

const rows: readonly (readonly [name: string, cell: (report: ChaosReport) => string])[] = [
  ["events accepted", ({ accepted }) => amount(accepted)],
  ["  not acknowledged", ({ unacknowledged }) => amount(unacknowledged)],
  ["  published again", ({ republished }) => amount(republished)],
  ["deliveries expected", ({ expected }) => amount(expected)],
  ["  received", ({ received }) => amount(received)],
  ["  exhausted", ({ exhausted }) => amount(exhausted)],
  ["  lost", ({ lost }) => amount(lost)],
  ["stuck", ({ stuck }) => amount(stuck)],
  ["inversions", ({ inversions }) => (inversions === undefined ? "not ordered" : amount(inversions))],
  ["duplicates", ({ duplicates }) => amount(duplicates)],
  ["kills: tellwire", ({ disturbances }) => amount(disturbances.kills.tellwire)],
  ["kills: postgres", ({ disturbances }) => amount(disturbances.kills.postgres)],
  ["kills: nats", ({ disturbances }) => amount(disturbances.kills.nats)],
  ["ended, frozen", ({ disturbances: { terminated, frozen } }) => `${terminated}, ${frozen}`],
  ["cut, lost", ({ disturbances: { cut, lost } }) => `${cut}, ${lost}`],
  ["slowed, stalled", ({ disturbances: { slowed, stalled } }) => `${slowed}, ${stalled}`],
  ["crashes, late ends", ({ crashes, lateEnds }) => `${crashes}, ${lateEnds}`],
  ["settled after", ({ settled }) => (settled.isDone ? seconds(settled.tookMs) : "NEVER")],
  ["duration", ({ durationMs }) => seconds(durationMs)],
  ["result", ({ hasFailed }) => (hasFailed ? "FAILED" : "well")],
];

/** Writes the figures into a file of their own. Answers with its path. */
export function saveReports(reports: readonly ChaosReport[], options: object): string {
  const time = new Date().toISOString();
  const machine = { node: process.version, platform: process.platform, cpu: cpus()[0]?.model, cores: cpus().length };
  mkdirSync(resultsFolder, { recursive: true });
  const path = join(resultsFolder, `${time.replaceAll(":", "")}.json`);
  writeFileSync(path, `${JSON.stringify({ time, machine, options, reports }, null, 2)}\n`);
  return relative(process.cwd(), path);
}

/** Keeps what is needed to find out what happened in a run: its figures, what the database says, every log. Answers with the folder. */
export function keepLogs(
  report: ChaosReport,
  problems: readonly Record<string, unknown>[],
  logs: Readonly<Record<string, string>>,
): string {
  const time = new Date().toISOString().replaceAll(":", "");
  const folder = join(resultsFolder, `${report.hasFailed ? "failed" : "well"}-${report.broker}-${report.seed}-${time}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "findings.json"), `${JSON.stringify({ report, problems }, null, 2)}\n`);
  for (const [name, file] of Object.entries(logs)) {
    cpSync(file, join(folder, `${name.replaceAll(" ", "-")}.log`));
  }
  return relative(process.cwd(), folder);
}

function amount(count: number): string {
  return count.toLocaleString("en");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

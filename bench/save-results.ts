import { mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Where results and profiles are kept; git does not look at it. */
export const resultsFolder = fileURLToPath(new URL("results/", import.meta.url));

/** Writes a run's numbers, with when and on what they were measured, into a file of their own. Answers with its path. */
export async function saveResults(name: string, results: object): Promise<string> {
  const time = new Date().toISOString();
  const machine = { node: process.version, platform: process.platform, cpu: cpus()[0]?.model, cores: cpus().length };
  const path = `${resultsFolder}${time.replaceAll(":", "")}.json`;
  await mkdir(resultsFolder, { recursive: true });
  await writeFile(path, `${JSON.stringify({ name, time, machine, ...results }, null, 2)}\n`);
  return relative(process.cwd(), path);
}

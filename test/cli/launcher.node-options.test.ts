import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

/** The command as it is installed, beside a program that tells how it was started. */
let folder: TemporaryFolder;
let command: string;

beforeAll(() => {
  folder = makeTemporaryFolder("launcher");
  command = join(folder.path, "bin", "tellwire.mjs");
  cpSync(new URL("../../bin/tellwire.mjs", import.meta.url), command);
  mkdirSync(join(folder.path, "dist", "src"), { recursive: true });
  writeFileSync(
    join(folder.path, "dist", "src", "cli.js"),
    "const { execArgv, argv, env } = process;\nconsole.log(JSON.stringify({ options: execArgv, words: argv.slice(2), value: env.VALUE }));\n",
  );
  writeFileSync(join(folder.path, "package.json"), '{"type":"module"}');
});
afterAll(() => folder.remove());

const smallYoungGeneration = "--max-semi-space-size=32";

test("the service runs with a small young generation, and otherwise as it was started", () => {
  expect(startedWith(["serve", "--a", "b c"], { VALUE: "kept" })).toEqual({
    options: [smallYoungGeneration],
    words: ["serve", "--a", "b c"],
    value: "kept",
  });
});

test("options that Node was given are kept", () => {
  expect(startedWith(["serve"], {}, ["--stack-size=2000"]).options).toEqual([
    smallYoungGeneration,
    "--stack-size=2000",
  ]);
});

test("who sets the young generation is left to it", () => {
  const own = "--max-semi-space-size=128";
  expect(startedWith(["serve"], {}, [own]).options).toEqual([own]);
  expect(startedWith(["serve"], { NODE_OPTIONS: own }).options).toEqual([]);
});

test("other commands start as they are", () => {
  expect(startedWith(["migrate"]).options).toEqual([]);
});

function startedWith(words: string[], environment: Record<string, string> = {}, options: string[] = []) {
  const { NODE_OPTIONS: _, ...inherited } = process.env;
  const output = execFileSync(process.execPath, [...options, command, ...words], {
    env: { ...inherited, ...environment },
    encoding: "utf8",
  });
  return JSON.parse(output) as { options: string[]; words: string[]; value?: string };
}

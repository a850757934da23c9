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
const collectedWhenQuiet = ["--no-memory-reducer", "--expose-gc"];

test("the service runs with options of its own, and otherwise as it was started", () => {
  expect(startedWith(["serve", "--a", "b c"], { VALUE: "kept" })).toEqual({
    options: [smallYoungGeneration, ...collectedWhenQuiet],
    words: ["serve", "--a", "b c"],
    value: "kept",
  });
});

test("options that Node was given are kept", () => {
  expect(startedWith(["serve"], {}, ["--stack-size=2000"]).options).toEqual([
    smallYoungGeneration,
    ...collectedWhenQuiet,
    "--stack-size=2000",
  ]);
});

test.each(["--max-semi-space-size=128", "--memory-reducer", "--expose-gc"])("who sets %s is left to it", (own) => {
  const name = own.replace(/^--|=.*/g, "");
  const others = [smallYoungGeneration, ...collectedWhenQuiet].filter((option) => !option.includes(name));
  expect(startedWith(["serve"], {}, [own]).options).toEqual([...others, own]);
});

test("what NODE_OPTIONS set is left to it", () => {
  const { options } = startedWith(["serve"], { NODE_OPTIONS: "--max-semi-space-size=128" });
  expect(options).toEqual(collectedWhenQuiet);
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

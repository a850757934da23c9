import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const script = join(import.meta.dirname, "../../scripts/install-if-missing.mjs");
const entry = { version: "1.0.0", integrity: "sha512-a" };
let folder: TemporaryFolder;

beforeEach(() => {
  folder = makeTemporaryFolder("install");
  mkdirSync(join(folder.path, "scripts"));
  copyFileSync(script, join(folder.path, "scripts", "install-if-missing.mjs"));
  writeFileSync(join(folder.path, "package.json"), JSON.stringify({ name: "some", version: "1.0.0" }));
  writeLock({ "": { name: "some", version: "1.0.0" } });
});
afterEach(() => folder.remove());

function writeLock(packages: object): void {
  const lock = { name: "some", version: "1.0.0", lockfileVersion: 3, requires: true, packages };
  writeFileSync(join(folder.path, "package-lock.json"), JSON.stringify(lock));
}

function writeInstalled(packages: object): void {
  mkdirSync(join(folder.path, "node_modules"), { recursive: true });
  writeFileSync(join(folder.path, "node_modules", ".package-lock.json"), JSON.stringify({ packages }));
}

/** `npm` stands for the program that npm names itself by in its scripts. */
function run(npm?: string): Promise<{ code: number | string; stderr: string }> {
  const { npm_execpath: _, ...environment } = process.env;
  const options = { env: npm === undefined ? environment : { ...environment, npm_execpath: npm } };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(folder.path, "scripts", "install-if-missing.mjs")],
      options,
      (error, _stdout, stderr) => {
        resolve({ code: error?.code ?? 0, stderr });
      },
    );
  });
}

/** A program that leaves a file behind, in place of npm. */
function recordingNpm(exitCode: number): string {
  const path = join(folder.path, "npm.js");
  const text = `require("node:fs").writeFileSync(${JSON.stringify(join(folder.path, "called"))}, process.argv.slice(2).join(" "));
    console.error("the registry is gone"); process.exit(${exitCode});`;
  writeFileSync(path, text);
  return path;
}

it("what is installed as the lock file says is left alone, without a word", async () => {
  writeLock({ "": {}, "node_modules/a": entry });
  writeInstalled({ "node_modules/a": entry });
  expect(await run(recordingNpm(1))).toEqual({ code: 0, stderr: "" });
  expect(existsSync(join(folder.path, "called"))).toBe(false);
});

it("an optional package for another platform is not missed", async () => {
  writeLock({ "": {}, "node_modules/b": { ...entry, optional: true } });
  writeInstalled({});
  expect(await run(recordingNpm(1))).toEqual({ code: 0, stderr: "" });
});

it("without node_modules npm ci runs, and it is said so", async () => {
  const { code, stderr } = await run(recordingNpm(0));
  expect(code).toBe(0);
  expect(stderr).toBe("tellwire: node_modules is missing: installing the dependencies (npm ci) …\n");
  expect(existsSync(join(folder.path, "called"))).toBe(true);
});

it.each([
  ["another version", { "node_modules/a": { ...entry, version: "0.9.0" } }],
  ["another content", { "node_modules/a": { ...entry, integrity: "sha512-b" } }],
  ["nothing", {}],
])("npm ci runs where %s is installed", async (_, installed) => {
  writeLock({ "": {}, "node_modules/a": entry });
  writeInstalled(installed);
  const { code, stderr } = await run(recordingNpm(0));
  expect(code).toBe(0);
  expect(stderr).toContain("node_modules/a is not the one of package-lock.json");
});

it("a failed npm ci is shown with what npm said, and ends with exit code 1", async () => {
  const { code, stderr } = await run(recordingNpm(7));
  expect(code).toBe(1);
  expect(stderr).toContain("the registry is gone");
  expect(stderr).toContain("npm ci failed, see above");
});

import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";

const root = join(import.meta.dirname, "../..");

interface LockEntry {
  version?: string;
  license?: string;
  dev?: boolean;
  optional?: boolean;
  hasInstallScript?: boolean;
  optionalDependencies?: Record<string, string>;
}

interface Fixture {
  packages?: Record<string, LockEntry>;
  allowScripts?: Record<string, boolean>;
  documentation?: string;
}

/** A project with this lock file. */
function makeProject({ packages = {}, allowScripts = {}, documentation = "" }: Fixture): string {
  const folder = makeTemporaryFolder("dependencies");
  onTestFinished(() => folder.remove());
  const entries = Object.entries(packages).map(([name, entry]) => [
    `node_modules/${name}`,
    { version: "1.0.0", ...entry },
  ]);
  const dependencies = Object.fromEntries(Object.keys(packages).map((name) => [name, "1.0.0"]));
  const own = { name: "fixture", version: "1.0.0", dependencies };
  const lock = { ...own, lockfileVersion: 3, requires: true, packages: { "": own, ...Object.fromEntries(entries) } };
  mkdirSync(join(folder.path, "docs"));
  writeFileSync(join(folder.path, "package.json"), JSON.stringify({ ...own, allowScripts }));
  writeFileSync(join(folder.path, "package-lock.json"), JSON.stringify(lock));
  writeFileSync(join(folder.path, "docs/security.md"), documentation);
  return folder.path;
}

async function run(script: string, cwd: string, { args = [], registry }: { args?: string[]; registry?: string } = {}) {
  const env = { ...process.env, ...(registry === undefined ? {} : { npm_config_registry: registry }) };
  const child = spawn(process.execPath, [join(root, "scripts", script), ...args], { cwd, env });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, output };
}

const checked = (fixture: Fixture) => run("check-dependencies.mjs", makeProject(fixture));

describe("licences", () => {
  test.each([
    ["MIT"],
    ["Apache-2.0"],
    ["MIT OR GPL-3.0-only"],
    ["(Apache-2.0 AND BSD-3-Clause)"],
    ["(GPL-2.0-only OR (MIT AND ISC))"],
  ])("%s goes together with Apache-2.0", async (license) => {
    expect(await checked({ packages: { a: { license } } })).toMatchObject({ code: 0 });
  });

  test.each([
    ["GPL-3.0-only"],
    ["AGPL-3.0-or-later"],
    ["MIT AND GPL-2.0-only"],
    ["SSPL-1.0"],
    ["BUSL-1.1"],
    ["UNLICENSED"],
    ["SEE LICENSE IN LICENSE"],
    ["MPL-2.0"],
  ])("%s does not", async (license) => {
    const { code, output } = await checked({ packages: { a: { license } } });
    expect(code).toBe(1);
    expect(output).toMatch(/a 1\.0\.0 is under |is no licence expression/);
  });

  test("an exception for development holds for its packages, and for development, alone", async () => {
    const license = "MPL-2.0";
    expect(await checked({ packages: { lightningcss: { license, dev: true } } })).toMatchObject({ code: 0 });
    expect(await checked({ packages: { lightningcss: { license } } })).toMatchObject({ code: 1 });
    expect(await checked({ packages: { other: { license, dev: true } } })).toMatchObject({ code: 1 });
  });

  test("a package that names no licence is refused, unless it is a part of one that does", async () => {
    expect(await checked({ packages: { a: {} } })).toMatchObject({ code: 1 });
    const parent = { license: "MIT", optionalDependencies: { "a-linux-x64": "1.0.0" } };
    expect(await checked({ packages: { a: parent, "a-linux-x64": { optional: true } } })).toMatchObject({ code: 0 });
    const strange = { ...parent, license: "GPL-3.0-only" };
    expect(await checked({ packages: { a: strange, "a-linux-x64": { optional: true } } })).toMatchObject({ code: 1 });
  });
});

describe("install scripts", () => {
  const packages = { a: { license: "MIT", dev: true, hasInstallScript: true } };
  const allowScripts = { a: false };
  const documentation = "| `a` | why |";

  test("one that is named everywhere and never run is accepted", async () => {
    expect(await checked({ packages, allowScripts, documentation })).toMatchObject({ code: 0 });
  });

  test.each<[string, Fixture, string]>([
    ["a new one", { packages }, "a 1.0.0 has an install script: name it"],
    ["one that is not documented", { packages, allowScripts }, "name it"],
    ["one that is not in package.json", { packages, documentation }, "name it"],
    ["one that may run", { packages, allowScripts: { a: true }, documentation }, "none may"],
    ["one that is gone", { packages: { a: { license: "MIT" } }, allowScripts, documentation }, "take it out"],
    ["one that is shipped", { packages: { a: { ...packages.a, dev: false } }, allowScripts, documentation }, "shipped"],
  ])("%s is refused", async (_what, fixture, words) => {
    const { code, output } = await checked(fixture);
    expect(code).toBe(1);
    expect(output).toContain(words);
  });
});

describe("known vulnerabilities", () => {
  /** A registry that answers questions about vulnerabilities so, and knows nothing else. */
  async function startRegistry(status: number, advisories: unknown): Promise<string> {
    const server = createServer((request, response) => {
      request.resume();
      const isQuestion = request.method === "POST" && request.url?.endsWith("/advisories/bulk");
      response.writeHead(isQuestion ? status : 404, { "content-type": "application/json" });
      response.end(JSON.stringify(isQuestion ? advisories : {}));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  const project = () => makeProject({ packages: { a: { license: "MIT" } } });
  const advisory = {
    id: 1,
    url: "https://example.com/advisory",
    title: "A hole",
    severity: "low",
    vulnerable_versions: "<2.0.0",
    cwe: [],
    cvss: { score: 0, vectorString: null },
  };

  test("none: passes", async () => {
    const answer = await run("audit-dependencies.mjs", project(), { registry: await startRegistry(200, {}) });
    expect(answer).toMatchObject({ code: 0, output: expect.stringContaining("no vulnerability") });
  });

  test("one, however small: fails, and is named", async () => {
    const registry = await startRegistry(200, { a: [advisory] });
    const { code, output } = await run("audit-dependencies.mjs", project(), { registry });
    expect(code).toBe(1);
    expect(output).toContain("A hole (https://example.com/advisory)");
  });

  test("a registry that cannot be asked is said loudly, and fails where an answer is required", async () => {
    const registry = await startRegistry(405, {});
    const loud = expect.stringContaining("THE DEPENDENCIES WERE NOT AUDITED");
    expect(await run("audit-dependencies.mjs", project(), { registry })).toEqual({ code: 0, output: loud });
    expect(await run("audit-dependencies.mjs", project(), { registry, args: ["--required"] })).toEqual({
      code: 1,
      output: loud,
    });
  });
});

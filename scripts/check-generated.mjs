// Checks that gen/ is what `npm run generate` would make of the proto files now.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";

const documentScript = "scripts/generate-openapi.ts";
const fresh = mkdtempSync(join(tmpdir(), "tellwire-gen-"));
try {
  // `clean` empties the folder that the template names, put below the given one: the committed code stays untouched.
  if (run("buf", ["generate", "--output", fresh]) && run("node", [documentScript, join(fresh, "gen")])) {
    compare();
  } else {
    console.error("generating failed, see above");
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

function run(command, args) {
  return spawnSync(command, args, { stdio: "inherit", shell: process.platform === "win32" }).status === 0;
}

function compare() {
  const committed = files("gen");
  const generated = files(join(fresh, "gen"));
  const names = new Set([...committed.keys(), ...generated.keys()]);
  const stale = [...names].filter((name) => committed.get(name) !== generated.get(name)).sort();
  if (generated.size === 0) stale.push("(nothing was generated)");
  if (stale.length === 0) return console.log(`gen/ is up to date: ${generated.size} files`);
  console.error(`gen/ is not what the proto files say. Run \`npm run generate\` and commit the result:`);
  for (const name of stale) console.error(`  gen/${name}`);
  process.exitCode = 1;
}

/** The files of a folder, by path in it: their text. */
function files(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    entries.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [relative(folder, path).split(sep).join("/"), readFileSync(path, "utf8")];
    }),
  );
}

// Writes the optional packages of other platforms into package-lock.json. npm leaves out those that its registry does not have (a mirror with the
// packages of some platforms, for example), and then refuses its own lock file in `npm ci`. The versions are the exact ones that the lock
// file asks for; these entries have no hash, and are never installed on the platforms whose packages have one.
// With --check: changes nothing, and fails where something is missing.
import { readFileSync, writeFileSync } from "node:fs";

const path = "package-lock.json";
const lock = JSON.parse(readFileSync(path, "utf8"));
const missing = missingEntries(lock.packages);

if (missing.length === 0) {
  console.log("package-lock.json is complete");
} else if (process.argv.includes("--check")) {
  console.error(
    `package-lock.json lacks packages of other platforms: run \`node scripts/complete-lock.mjs\` and commit the result:`,
  );
  for (const [place] of missing) console.error(`  ${place}`);
  process.exitCode = 1;
} else {
  const entries = [...Object.entries(lock.packages), ...missing].sort(([a], [b]) => a.localeCompare(b, "en"));
  lock.packages = Object.fromEntries(entries);
  writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`);
  console.log(`package-lock.json: added ${missing.length} packages of other platforms`);
}

/** What the entries ask for as optional and no entry provides: place in the tree, and the entry to add. */
function missingEntries(packages) {
  const wanted = Object.values(packages).flatMap(({ optionalDependencies = {}, dev }) =>
    Object.entries(optionalDependencies).map(([name, version]) => ({ name, version, dev })),
  );
  return wanted
    .filter(({ name, version }) => packages[`node_modules/${name}`] === undefined && /^\d/.test(version))
    .map(({ name, version, dev }) => [
      `node_modules/${name}`,
      { version, ...platformOf(name), ...(dev ? { dev } : {}), optional: true },
    ]);
}

/** The `os`, `cpu` and `libc` of a package, as its name says: `@biomejs/cli-linux-x64-musl`. */
function platformOf(name) {
  const words = name.split(/[-/]/);
  const os = ["aix", "android", "darwin", "freebsd", "linux", "openharmony", "win32"].find((word) =>
    words.includes(word),
  );
  const cpu = ["arm64", "ia32", "ppc64", "riscv64", "s390x", "x64"].find((word) => words.includes(word));
  const isArm = words.some((word) => /^arm(v\d|-|$)/.test(word));
  const libc = /musl/.test(name) ? "musl" : /gnu/.test(name) && os === "linux" ? "glibc" : undefined;
  if (os === undefined || (cpu === undefined && !isArm))
    throw new Error(`the platform of ${name} is not in its name: add it to ${path} by hand`);
  return { cpu: [cpu ?? "arm"], ...(libc ? { libc: [libc] } : {}), os: [os] };
}

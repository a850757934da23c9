// Runs before npm's scripts: installs the dependencies where they are missing or not the ones of the lock file. For the Node that the
// machine has, 20 or later: Node 24 is one of the dependencies.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const reason = whyInstall();
if (reason !== undefined) {
  console.error(`tellwire: ${reason}: installing the dependencies (npm ci) …`);
  install();
}

/** Why the dependencies must be installed; undefined where they are as the lock file says. */
function whyInstall() {
  const installedPath = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installedPath)) return "node_modules is missing";
  const installed = JSON.parse(readFileSync(installedPath, "utf8")).packages;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    // The first entry is this package itself; packages for other platforms are not installed.
    if (path === "" || (installed[path] === undefined && entry.optional)) continue;
    if (installed[path]?.version !== entry.version || installed[path]?.integrity !== entry.integrity) {
      return `${path} is not the one of package-lock.json`;
    }
  }
  return undefined;
}

function install() {
  const parameters = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
  // Inside a script npm names itself; it is run by the machine's own Node, which outlives node_modules.
  const self = process.env.npm_execpath?.endsWith(".js") ? [process.execPath, process.env.npm_execpath] : [npmOnPath()];
  const [command = "npm", ...first] = self;
  const options = { cwd: root, encoding: "utf8", shell: process.platform === "win32" && first.length === 0 };
  const { status, error, stdout, stderr } = spawnSync(command, [...first, ...parameters], options);
  if (status === 0) return;
  console.error(`${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`.trimEnd());
  console.error(
    "tellwire: npm ci failed, see above. Check the network and `npm config get registry`, then run it again.",
  );
  process.exit(1);
}

function npmOnPath() {
  return process.platform === "win32" ? "npm.cmd" : "npm";
}

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

export interface ServerBinaries {
  /** What people call the server. */
  server: string;
  /** The programs that are needed, all of them in one folder. */
  programs: readonly [string, ...string[]];
  /** Where else to look than on the PATH, in this order. */
  folders: readonly string[];
  /** The package of Debian and Ubuntu that has them. */
  debianPackage: string;
  /** The variable that names a server to use in place of an own one, where there is one. */
  variable?: string;
}

/**
 * The folder with the programs of a server: from the PATH, else from the folders, else, as root on Debian or Ubuntu, from the package,
 * which is installed. Throws where none of these has them, and says what to install.
 */
export function findServerBinaries(wanted: ServerBinaries): string {
  const found = findFolder(wanted);
  if (found !== undefined) {
    return found;
  }
  if (process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    install(wanted);
    const installed = findFolder(wanted);
    if (installed !== undefined) {
      return installed;
    }
  }
  throw new Error(
    `there is need of ${wanted.server}: install it (Debian and Ubuntu: apt-get install ${wanted.debianPackage}) so that ` +
      `${wanted.programs.join(" and ")} can be found on the PATH${
        wanted.variable === undefined ? "" : `, or set ${wanted.variable} to the URL of a running one`
      }`,
  );
}

/** The folders `<root>/<version>/bin`, the newest version first. */
export function versionedFolders(root: string): string[] {
  const versions = existsSync(root) ? readdirSync(root) : [];
  return versions
    .toSorted((one, other) => other.localeCompare(one, "en", { numeric: true }))
    .map((version) => join(root, version, "bin"));
}

function findFolder({ programs, folders }: ServerBinaries): string | undefined {
  const candidates = [...(process.env.PATH ?? "").split(delimiter), ...folders];
  const folder = candidates.find((candidate) => programs.every((program) => existsSync(join(candidate, program))));
  // A link on the PATH is followed: Postgres looks for its files beside the real program.
  return folder === undefined ? undefined : dirname(realpathSync(join(folder, programs[0])));
}

function install({ server, debianPackage }: ServerBinaries): void {
  process.stdout.write(`Did not find ${server}: installing the package ${debianPackage} with apt-get.\n`);
  // Run level 1 keeps the package from starting a service of its own.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  execFileSync("apt-get", ["update"], { env, stdio: ["ignore", "ignore", "inherit"] });
  execFileSync("apt-get", ["install", "-y", debianPackage], { env, stdio: ["ignore", "ignore", "inherit"] });
}

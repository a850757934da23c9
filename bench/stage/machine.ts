import { execFileSync } from "node:child_process";
import { readFileSync, statfsSync } from "node:fs";
import { cpus, loadavg, release, tmpdir, totalmem } from "node:os";

/** On what something was measured. */
export interface Machine {
  node: string;
  platform: string;
  kernel: string;
  cpu: string | undefined;
  cores: number;
  memoryMiB: number;
  /** Of the last minute, before the run: what else went on. */
  loadAverage: number;
  /** Whether the folder of the servers' data is a disk; in memory an fsync costs nothing. */
  temporaryFolder: "disk" | "memory";
  /**
   * Whether the kernel shares the processors out between sessions first, and then between the threads of each (sched(7), autogroup): each connection of
   * Postgres is a session then. Undefined where the kernel cannot.
   */
  autogroup: boolean | undefined;
  /** The commit that was measured, with `+` where files differ from it; empty where it is not known. */
  commit: string;
}

/** The machine as it is now, and the state of the sources in `source`. */
export function describeMachine(source: string): Machine {
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    kernel: release(),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryMiB: Math.round(totalmem() / 1024 / 1024),
    loadAverage: loadavg()[0] ?? Number.NaN,
    temporaryFolder: statfsSync(tmpdir()).type === tmpfsMagic ? "memory" : "disk",
    autogroup: readAutogroup(),
    commit: commitOf(source),
  };
}

function readAutogroup(): boolean | undefined {
  try {
    return readFileSync("/proc/sys/kernel/sched_autogroup_enabled", "utf8").trim() === "1";
  } catch {
    return undefined;
  }
}

/** TMPFS_MAGIC of statfs(2). */
const tmpfsMagic = 0x01021994;

function commitOf(source: string): string {
  const git = (...parameters: string[]): string =>
    execFileSync("git", ["-C", source, ...parameters], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    return git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain", "--", "src", "package.json") && "+");
  } catch {
    return "";
  }
}

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type DataDirLock = { kind: "locked"; release: () => void } | { kind: "held"; pid: number };

/**
 * Takes the data folder for this process. Two processes on one embedded database would destroy it. A lock whose process no longer lives,
 * such as after a SIGKILL, is taken over.
 */
export function lockDataDir(dataDir: string): DataDirLock {
  const path = join(dataDir, "lock");
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return { kind: "locked", release: () => rmSync(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        throw error;
      }
    }
    const pid = Number(readFileSync(path, "utf8"));
    if (isAlive(pid)) {
      return { kind: "held", pid };
    }
    rmSync(path, { force: true });
  }
}

/** A process that we may not signal is alive too. Our own pid in the file is left from a process before this one (in a container, pid 1). */
function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) {
    return false;
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

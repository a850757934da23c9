import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TemporaryFolder {
  path: string;
  remove(): void;
}

/** A new folder for this run. It is removed at the latest when this process is gone, however that came about: Vitest ends its workers by a signal. */
export function makeTemporaryFolder(name: string): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), `tellwire-${name}-`));
  const releaseGuard = guardFolder(path);
  const remove = (): void => {
    process.off("exit", remove);
    rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    releaseGuard();
  };
  process.on("exit", remove);
  return { path, remove };
}

/** A shell whose input ends with this process, and which removes the folder then. Returns what ends it. */
function guardFolder(path: string): () => void {
  const guard = spawn("/bin/sh", ["-c", 'cat; rm -rf "$1"', "guard", path], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.unref();
  return () => void guard.kill("SIGKILL");
}

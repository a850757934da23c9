import { spawn } from "node:child_process";

export interface ServerGuard {
  /** The server has ended in good order: nothing is left to guard. */
  release(): void;
}

/**
 * Ends a server and removes its folder, if it has one of its own, when this process is gone, however that came about: Ctrl-C, SIGTERM, even
 * SIGKILL. The guard is a shell whose input ends with this process.
 */
export function guardServer(options: { pid: number; signal: NodeJS.Signals; folder?: string }): ServerGuard {
  const signal = options.signal.replace("SIG", "");
  const guard = spawn("/bin/sh", ["-c", script, "guard", signal, `${options.pid}`, options.folder ?? ""], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.unref();
  return {
    release() {
      guard.kill("SIGKILL");
    },
  };
}

/** A server that has ended may stay in the table of processes where nobody collects it: the wait for its end is bounded. */
const script = `
cat
kill -s "$1" "$2"
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  kill -0 "$2" || break
  sleep 0.1
done
kill -s KILL "$2"
[ -z "$3" ] || rm -rf "$3"
`;

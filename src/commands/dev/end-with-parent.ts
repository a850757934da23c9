/**
 * Sends this process a SIGTERM when the one that started it has ended. Between npm and a script's program stands a shell that passes no
 * signals on: where npm is told to end, only the shell would, and the program would be left over. Does nothing on Windows, where a
 * process is not told of its parent's end.
 */
export function endWithParent(): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  }, intervalMs).unref();
}

const intervalMs = 250;

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, it } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { isAlive } from "./process-list.ts";

it("a program that npm started through a shell ends when the shell has ended", async () => {
  const module = join(import.meta.dirname, "../../src/commands/dev/end-with-parent.ts");
  const script = `import { endWithParent } from ${JSON.stringify(module)};
    endWithParent();
    setInterval(() => {}, 1_000);
    console.log(process.pid);`;
  // The "; :" keeps the shell there, as npm's is, instead of turning it into the program.
  const shell = spawn("sh", ["-c", `"$0" --input-type=module-typescript -e "$1"; :`, process.execPath, script]);
  const [line] = (await once(shell.stdout.setEncoding("utf8"), "data")) as [string];
  const pid = Number(line);
  expect(isAlive(pid)).toBe(true);
  shell.kill("SIGTERM");
  await waitFor(() => !isAlive(pid), { what: "the program's end" });
});

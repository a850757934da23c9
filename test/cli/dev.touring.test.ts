import { execFile } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";
import { type CliProcess, startCli } from "./cli-process.ts";

const folder = makeTemporaryFolder("dev");
const processes: CliProcess[] = [];
afterAll(async () => {
  for (const dev of processes) dev.kill("SIGKILL");
  await Promise.all(processes.map((dev) => dev.exitCode));
  folder.remove();
});

const dataDir = join(folder.path, "data");

function startDev(): CliProcess {
  const dev = startCli(["dev"], {
    TELLWIRE_DATA_DIR: dataDir,
    TELLWIRE_HTTP_ADDR: "127.0.0.1:0",
    TELLWIRE_GRPC_ADDR: "127.0.0.1:0",
  });
  processes.push(dev);
  return dev;
}

async function stop(dev: CliProcess): Promise<void> {
  dev.kill("SIGINT");
  expect(await dev.exitCode).toBe(0);
}

it("the first start delivers and verifies an event, and its curl lines work; a second start finds the data again", {
  timeout: 300_000,
}, async () => {
  const first = startDev();
  await first.waitForOutput(/Ctrl-C stops/);
  expect(first.stdout()).toMatch(/The first event was delivered and its signature verified [\d.]+ s after the start/);
  expect(first.stdout()).toMatch(/demo receiver: got demo\.greeting at \/ \(evt_\w+, signature verified\)/);
  expect(first.stdout()).toMatch(
    /delivered demo\.greeting → http:\/\/127\.0\.0\.1:\d+\/? 200 in \d+ ms \(attempt 1, dlv_\w+\)/,
  );

  const [create, publish, list] = curlLinesOf(first.stdout());
  const created = await shell(create!);
  expect(created.webhook.url).toMatch(/\/orders$/);
  const { webhook } = created;
  const authorization = /authorization: (Bearer \S+)'/.exec(create!)?.[1] ?? "";
  const origin = /http:\/\/127\.0\.0\.1:\d+/.exec(create!)?.[0];
  await waitFor(async () => {
    const response = await fetch(`${origin}/v1/webhooks/${webhook.id}`, { headers: { authorization } });
    return ((await response.json()) as { status: string }).status === "WEBHOOK_STATUS_ACTIVE";
  });
  const { eventId } = await shell(publish!);
  await first.waitForOutput(new RegExp(`got order\\.paid at /orders \\(${eventId}, signature verified\\)`));
  await waitFor(async () => {
    const { deliveries } = await shell(list!);
    const delivered = deliveries.filter((delivery: { eventId: string; status: string }) => {
      return delivery.eventId === eventId && delivery.status === "DELIVERY_STATUS_DELIVERED";
    });
    return delivered.length === 2;
  });
  expect(statSync(join(dataDir, "demo.json")).mode & 0o777).toBe(0o600);
  expect(statSync(join(dataDir, "operator.key")).mode & 0o777).toBe(0o600);
  const demo = readFileSync(join(dataDir, "demo.json"), "utf8");
  await stop(first);

  const second = startDev();
  await second.waitForOutput(/Ctrl-C stops/);
  expect(second.stdout()).toContain("found: 2 events and 2 webhooks of an earlier start");
  expect(readFileSync(join(dataDir, "demo.json"), "utf8")).toBe(demo);
  await stop(second);
});

function curlLinesOf(output: string): string[] {
  const lines = output.split("\n").filter((line) => line.startsWith("curl "));
  expect(lines).toHaveLength(3);
  return lines;
}

async function shell(line: string) {
  const { stdout } = await promisify(execFile)("sh", ["-c", line]);
  return JSON.parse(stdout);
}

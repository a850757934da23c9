import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { SigningAlgorithm, VerificationMethod } from "../../gen/tellwire/v1/webhook_pb.ts";
import { createJwksHandler } from "../../src/api/jwks-handler.ts";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";
import { startApi, type TestApi, webhookFor } from "./start-api.ts";

const folder = makeTemporaryFolder("receiver");
const server = createServer();
let api: TestApi;
let origin: string;
let program: ChildProcess | undefined;
let output = "";

beforeAll(async () => {
  api = await startApi();
  // The receiver ends its idle connections, and the server none at the moment of the next question.
  server.keepAliveTimeout = 0;
  const handle = createJwksHandler({ publishedKeys: api.useCases.publishedKeys, onServerError: () => {} });
  server.on("request", (request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  program?.kill("SIGKILL");
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await api.close();
  folder.remove();
});

it("the receiver of the documentation takes what this service signs, also after a rotation, and nothing else", async () => {
  const { id: organizationId } = await api.addOrganization();
  const { webhook } = await api.operator.webhooks.createWebhook({
    webhook: webhookFor("https://example.com/", {
      organizationId,
      signingAlgorithm: SigningAlgorithm.ED25519,
      verification: { method: VerificationMethod.VOUCHED },
    }),
  });
  const id = webhook!.id;
  const port = await startReceiver(id);
  const url = `http://127.0.0.1:${port}/hook`;
  await api.operator.webhooks.updateWebhook({ webhook: { id, url } });
  expect(await api.operator.webhooks.testWebhook({ id })).toMatchObject({ success: true });
  await waitFor(() => /received evt_/.test(output), { what: "the receipt" });

  await api.operator.webhooks.rotateWebhookSecret({ id, overlap: { seconds: 60n } });
  expect(await api.operator.webhooks.testWebhook({ id })).toMatchObject({ success: true });

  const headers = { "webhook-id": "evt_1", "webhook-timestamp": String(Math.floor(Date.now() / 1000)) };
  const forged = [{}, { "webhook-signature": "v1a,AAAA" }, { "webhook-signature": `v1a,${"A".repeat(86)}==` }];
  for (const signature of forged) {
    const answer = await fetch(url, {
      method: "POST",
      body: "{}",
      headers: { ...headers, ...signature } as Record<string, string>,
    });
    expect(answer.status).toBe(400);
  }
});

/** The port on which the program of the documentation, as it stands there, listens. */
async function startReceiver(webhookId: string): Promise<string> {
  const page = readFileSync(new URL("../../docs/signatures.md", import.meta.url), "utf8");
  const [, text] = /```js\n(\/\/ receiver\.mjs\n[\s\S]*?)```/.exec(page) ?? [];
  const path = join(folder.path, "receiver.mjs");
  writeFileSync(path, text ?? "");
  program = spawn(process.execPath, [path, origin, webhookId], { stdio: ["ignore", "pipe", "inherit"] });
  program.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  const [, port = ""] = await waitFor(() => /listening on (\d+)\n/.exec(output), { what: "the receiver" });
  return port;
}

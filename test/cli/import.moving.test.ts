import { createHmac, randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, it } from "vitest";
import { publicId } from "../../src/domain/ids.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";
import { runCli } from "./cli-process.ts";

const secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const folder = makeTemporaryFolder("import");
let database: TestDatabase;
let tellwire: TellwireProcess;
let operator: RestClient;
let receiver: Receiver;

beforeAll(async () => {
  database = await createTestDatabase();
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_DATABASE_URL: database.url }));
  operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  receiver = await startReceiver(echoChallenge);
});
afterAll(async () => {
  await receiver?.close();
  await tellwire?.stop();
  await database?.drop();
  folder.remove();
});

it("a system moves here: its organizations and webhooks, and from then on its receivers get what they always got", async () => {
  const organizationId = randomUUID();
  const layerId = randomUUID();
  const standardId = randomUUID();
  const file = lines(
    { organization: { id: organizationId, name: "Moved" } },
    { webhook: webhook({ id: layerId, organizationId, format: "WEBHOOK_FORMAT_LAYER_1_0", signingSecret: "1234" }) },
    {
      webhook: webhook({ id: publicId("webhook", standardId), organizationId, name: "kept" }),
      previousSecrets: [{ signingSecret: secret.replaceAll("A", "B"), expireTime: "2099-01-01T00:00:00Z" }],
    },
  );
  expect(await importFile(file)).toEqual({
    exitCode: 0,
    stdout:
      "organizations: 1 imported, 0 updated, 0 unchanged, 0 refused\nwebhooks: 2 imported, 0 updated, 0 unchanged, 0 refused\n",
    stderr: "",
  });
  expect(receiver.requests).toEqual([]);
  expect(await operator("GET", `/v1/organizations/${organizationId}`)).toMatchObject({
    id: publicId("organization", organizationId),
    name: "Moved",
  });
  expect(await operator("GET", `/v1/webhooks/${layerId}`)).toMatchObject({
    status: "WEBHOOK_STATUS_ACTIVE",
    createTime: "2019-05-04T03:02:01Z",
    updateTime: "2024-11-21T10:00:00Z",
  });

  await operator("POST", "/v1/events", { organizationId, type: "message.sent", data: { message: { id: "m1" } } });
  await waitFor(() => receiver.requests.length === 2, { what: "both deliveries" });
  const layer = receiver.requests.find(({ headers }) => headers["layer-webhook-id"] !== undefined);
  expect(layer?.headers).toMatchObject({
    "layer-webhook-id": layerId,
    "layer-webhook-signature": createHmac("sha1", "1234").update(layer!.body).digest("hex"),
  });
  const standard = receiver.requests.find(({ headers }) => headers["webhook-id"] !== undefined);
  for (const known of [secret, secret.replaceAll("A", "B")]) {
    const verifier = new StandardWebhook(known);
    expect(verifier.verify(standard!.body, standard!.headers as Record<string, string>)).toBeDefined();
  }
});

it("an import that is repeated changes nothing, and one with news changes what is new", async () => {
  const organizationId = randomUUID();
  const id = randomUUID();
  const organization = { id: organizationId, name: "Again" };
  const first = lines({ organization }, { webhook: webhook({ id, organizationId }) });
  await importFile(first);
  expect((await importFile(first)).stdout).toBe(
    "organizations: 0 imported, 0 updated, 1 unchanged, 0 refused\nwebhooks: 0 imported, 0 updated, 1 unchanged, 0 refused\n",
  );
  const news = webhook({ id, organizationId, description: "new", updateTime: "2024-12-01T00:00:00Z" });
  const second = lines({ organization: { ...organization, name: "Renamed" } }, { webhook: news });
  expect((await importFile(second)).stdout).toBe(
    "organizations: 0 imported, 1 updated, 0 unchanged, 0 refused\nwebhooks: 0 imported, 1 updated, 0 unchanged, 0 refused\n",
  );
  expect(await operator("GET", `/v1/webhooks/${id}`)).toMatchObject({ description: "new" });
  expect(await operator("GET", `/v1/organizations/${organizationId}`)).toMatchObject({ name: "Renamed" });
});

it("each line that is refused is named with its number and the reason, the others are imported, and the exit code is 1", async () => {
  const organizationId = randomUUID();
  const wrong = randomUUID();
  const homeless = randomUUID();
  const file = [
    `\uFEFF${JSON.stringify({ organization: { id: organizationId, name: "Partly" } })}`,
    "",
    "{not json",
    JSON.stringify({
      webhook: webhook({ id: wrong, organizationId, url: "https://me@example.com/", signingSecret: "hunter2" }),
    }),
    JSON.stringify({ webhook: { id: wrong, signingSecret: 1234 } }),
    JSON.stringify({ webhook: { id: wrong, colour: "red" } }),
    JSON.stringify({ organization: { name: "without an id" } }),
    JSON.stringify({ something: 1 }),
    JSON.stringify({ webhook: webhook({ id: homeless, organizationId: randomUUID() }) }),
    JSON.stringify({ organization: { id: organizationId } }),
    JSON.stringify({ organization: { id: organizationId, name: "x" }, surplus: 1 }),
    "[]",
    JSON.stringify({ webhook: webhook({ id: randomUUID(), organizationId }) }),
  ].join("\r\n");
  const { exitCode, stdout, stderr } = await importFile(file);
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: "" });
  expect(stdout.split("\n")).toEqual([
    "line 3: is not JSON",
    expect.stringMatching(
      `^line 4: ${publicId("webhook", wrong)}: webhook.url: must not contain user information .*; webhook.signing_secret: must begin with whsec_, or with whsk_ where it is an ed25519 private key \\(INVALID_FIELDS\\)$`,
    ),
    "line 5: Webhook.signing_secret is not what the contract says",
    'line 6: "colour" is no known member',
    "line 7: organization.id: value is required, as org_… or a UUID",
    'line 8: must have either a member "organization" or a member "webhook"',
    expect.stringMatching(`^line 9: ${publicId("webhook", homeless)}: .* \\(ORGANIZATION_NOT_FOUND\\)$`),
    expect.stringMatching(`^line 10: ${organizationId}: organization.name: .* \\(INVALID_FIELDS\\)$`),
    'line 11: "surplus" is no known member',
    "line 12: must be a JSON object",
    "organizations: 1 imported, 0 updated, 0 unchanged, 2 refused",
    "webhooks: 1 imported, 0 updated, 0 unchanged, 2 refused",
    "lines that cannot be read: 6",
    "",
  ]);
  expect(stdout).not.toContain("hunter2");
});

it("a dry run says the same and changes nothing, also for the webhooks of organizations that are still to come", async () => {
  const organizationId = randomUUID();
  const id = randomUUID();
  const file = lines(
    { organization: { id: organizationId, name: "Rehearsed" } },
    { webhook: webhook({ id, organizationId }) },
    { webhook: webhook({ id: randomUUID(), organizationId, eventTypes: [] }) },
  );
  const { exitCode, stdout } = await importFile(file, ["--dry-run"]);
  expect(exitCode).toBe(1);
  expect(stdout).toMatch(
    /^nothing is changed.*\nline 3: wh_\S+: webhook\.event_types: .*\norganizations: 1 imported.*\nwebhooks: 1 imported, .* 1 refused\n$/,
  );
  await expect(operator("GET", `/v1/organizations/${organizationId}`)).rejects.toThrow("404");
});

it("more webhooks than fit in one call are imported, from standard input too", async () => {
  const organizationId = randomUUID();
  const count = 230;
  const file = lines(
    { organization: { id: organizationId, name: "Many" } },
    ...Array.from({ length: count }, () => ({ webhook: webhook({ id: randomUUID(), organizationId }) })),
  );
  const { stdout } = await runCli(["import", "-"], variables(), file);
  expect(stdout).toContain(`webhooks: ${count} imported`);
});

it("a wrong key, a wrong address and a file that is not there are told in a line, and the exit code is 1", async () => {
  const path = join(folder.path, "one.ndjson");
  writeFileSync(path, lines({ organization: { id: randomUUID(), name: "x" } }));
  const wrongKey = await runCli(["import", path, "--key", "not the operator's key, and no other"], variables());
  expect(wrongKey).toMatchObject({ exitCode: 1, stdout: "" });
  expect(wrongKey.stderr).toMatch(/^tellwire: line 1: .*--key or TELLWIRE_OPERATOR_KEY.*\n$/);
  const nobody = await runCli(["import", path, "--url", "http://127.0.0.1:1"], variables());
  expect(nobody).toMatchObject({ exitCode: 1, stdout: "" });
  expect(nobody.stderr).toMatch(/^tellwire: .*127\.0\.0\.1:1.*\n$/);
  const noFile = await runCli(["import", join(folder.path, "none.ndjson")], variables());
  expect(noFile).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/^tellwire: ENOENT.*\n$/) });
  const noFolder = await runCli(["import", folder.path], variables());
  expect(noFolder).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/^tellwire: EISDIR.*\n$/) });
  const { TELLWIRE_OPERATOR_KEY: _, ...withoutKey } = variables();
  const noKey = await runCli(["import", path], withoutKey);
  expect(noKey.stderr).toMatch(/^tellwire: an import needs the operator's key.*\n$/);
});

it("the file of the documentation is imported as it stands", async () => {
  const page = readFileSync(new URL("../../docs/importing.md", import.meta.url), "utf8");
  const file = /```ndjson\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  expect(await importFile(file)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining("webhooks: 2 imported, 0 updated, 0 unchanged, 0 refused"),
  });
});

function webhook(values: Record<string, unknown>) {
  return {
    url: receiver.url,
    eventTypes: ["*"],
    status: "WEBHOOK_STATUS_ACTIVE",
    signingSecret: secret,
    createTime: "2019-05-04T03:02:01Z",
    updateTime: "2024-11-21T10:00:00Z",
    ...values,
  };
}

function lines(...values: unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}

function variables(): Record<string, string> {
  return { TELLWIRE_PUBLIC_URL: tellwire.httpUrl, TELLWIRE_OPERATOR_KEY: tellwire.operatorKey };
}

async function importFile(text: string, options: string[] = []) {
  const path = join(folder.path, `${randomUUID()}.ndjson`);
  writeFileSync(path, text);
  return await runCli(["import", path, ...options], variables());
}

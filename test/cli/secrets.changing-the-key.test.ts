import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import type { Database } from "../../src/store/database.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient } from "../support/rest-client.ts";
import { startTellwire, tellwireSettings } from "../support/tellwire.ts";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { runCli } from "./cli-process.ts";

const [oldKey, newKey] = [1, 2].map(() => randomBytes(32)) as [Buffer, Buffer];
const [oldText, newText] = [oldKey, newKey].map((key) => key.toString("base64")) as [string, string];
const [newId, oldId] = createSecretBox({ keys: [newKey, oldKey] }).keyIds as unknown as [string, string];

let testDatabase: TestDatabase;
let database: Database;
let receiver: Receiver;
beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openTestPostgres(testDatabase.url, { maxConnections: 2 });
  receiver = await startReceiver();
});
afterAll(async () => {
  await receiver.close();
  await database.close();
  await testDatabase.drop();
});

describe("changing the key of a running deployment", () => {
  it("an operator who follows the steps never has a secret that cannot be read, and is told when the old key may go", async () => {
    const secrets = (keys: string, ...parameters: string[]) =>
      runCli(["secrets", ...parameters], { TELLWIRE_DATABASE_URL: testDatabase.url, TELLWIRE_SECRETS_KEY: keys });
    const serving = async (keys: string, work: (rest: ReturnType<typeof createRestClient>) => Promise<void>) => {
      const settings = tellwireSettings({ TELLWIRE_DATABASE_URL: testDatabase.url, TELLWIRE_SECRETS_KEY: keys });
      const tellwire = await startTellwire(settings);
      try {
        await work(createRestClient(tellwire.httpUrl, tellwire.operatorKey));
      } finally {
        await tellwire.stop();
      }
    };
    const ids: string[] = [];
    const create = async (rest: ReturnType<typeof createRestClient>): Promise<void> => {
      const organization = await rest<{ id: string }>("POST", "/v1/organizations", { name: "Keys" });
      for (const signingAlgorithm of ["SIGNING_ALGORITHM_HMAC", "SIGNING_ALGORITHM_ED25519"]) {
        const { webhook } = await rest<{ webhook: { id: string } }>("POST", "/v1/webhooks", {
          organizationId: organization.id,
          url: receiver.url,
          eventTypes: ["*"],
          verification: { method: "VERIFICATION_METHOD_VOUCHED" },
          signingAlgorithm,
        });
        ids.push(webhook.id);
      }
    };
    const testAll = async (rest: ReturnType<typeof createRestClient>): Promise<void> => {
      for (const id of ids) {
        expect(await rest("POST", `/v1/webhooks/${id}:test`, {}), id).toMatchObject({ success: true });
      }
    };

    await serving(oldText, create);
    expect(await secrets(oldText, "status")).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(
        new RegExp(
          `^key id .*\\n${oldId}  first: seals and opens +2 +0\\n\\neverything is sealed with the first key\\n$`,
        ),
      ),
    });
    const keys = `${newText},${oldText}`;
    await serving(keys, async (rest) => {
      await create(rest);
      const before = await secrets(keys, "status");
      expect(before).toMatchObject({ exitCode: 1, stdout: expect.stringContaining(`${oldId}: is still needed`) });
      const preview = await secrets(keys, "reencrypt", "--dry-run");
      expect(preview).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/^2 signing secrets .*nothing was changed\n$/),
      });
      expect(await secrets(keys, "reencrypt")).toEqual({
        exitCode: 0,
        stdout: `2 signing secrets and the answers of 0 idempotency keys: now sealed with the key ${newId}\n`,
        stderr: "",
      });
      const after = await secrets(keys, "status");
      expect(after).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining(`${oldId}: nothing is sealed with it, it may go`),
      });
      await testAll(rest);
    });
    await serving(newText, testAll);
    expect(await secrets(newText, "reencrypt")).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^0 signing/),
    });
    // Of a preview, and of a run that found nothing to do, there is no entry.
    const audited =
      "select actor_kind, actor_id, organization_id, after from audit_entry where action = 'secrets.reencrypt'";
    expect(await database.sql.query({ name: "", text: audited }, [])).toEqual([
      {
        actor_kind: "SYSTEM",
        actor_id: "tellwire secrets reencrypt",
        organization_id: null,
        after: { kind: "secrets", count: 2, keyId: newId },
      },
    ]);
  }, 300_000);

  it("an operator who lost a key is told whose webhooks need new secrets, and that something is wrong", async () => {
    const lost = createSecretBox({ keys: [randomBytes(32)] });
    const [row] = await database.sql.query<{ id: string; webhook_id: string }>(
      { name: "", text: "select id, webhook_id from webhook_secret limit 1" },
      [],
    );
    const update = { name: "", text: "update webhook_secret set sealed = $2 where id = $1" };
    await database.sql.query(update, [row!.id, lost.seal("whsec_x", row!.webhook_id)]);
    const variables = { TELLWIRE_DATABASE_URL: testDatabase.url, TELLWIRE_SECRETS_KEY: newText };
    const result = await runCli(["secrets", "reencrypt"], variables);
    expect(result.exitCode).toBe(1);
    expect(result.stdout).toMatch(
      new RegExp(
        `^cannot be opened: a secret of wh_\\S{26} of org_\\S{26}: it was sealed with the key ${lost.keyIds[0]}, which is not in TELLWIRE_SECRETS_KEY\\n` +
          "0 signing secrets .*\\n1 could not be opened",
      ),
    );
    const status = await runCli(["secrets", "status"], variables);
    expect(status).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining(`${lost.keyIds[0]}: what it sealed cannot be read`),
    });
    expect(result.stdout + status.stdout).not.toContain(newText);
  });
});

it("without a key for a database server it says so, and with the embedded database it takes the key of the data folder", async () => {
  const refused = await runCli(["secrets", "status"], { TELLWIRE_DATABASE_URL: testDatabase.url });
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("TELLWIRE_SECRETS_KEY must be set") });
  const folder = makeTemporaryFolder("secrets");
  const embedded = { TELLWIRE_DATA_DIR: folder.path };
  expect(await runCli(["secrets", "status"], embedded)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("run `tellwire migrate`"),
  });
  await runCli(["migrate"], embedded);
  expect(await runCli(["secrets", "reencrypt"], embedded)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^0 signing secrets/),
  });
  folder.remove();
}, 300_000);

import { randomBytes } from "node:crypto";
import { beforeEach, expect, it } from "vitest";
import { newUuid } from "../../src/domain/ids.ts";
import { createSecretBox, readSealedHeader, type SecretBox } from "../../src/domain/secret-box.ts";
import type { Database } from "../../src/store/database.ts";
import { createRunIdempotently } from "../../src/usecases/idempotency.ts";
import { reencryptSecrets, tryReencryption, type UnopenableRow } from "../../src/usecases/reencrypt-secrets.ts";
import { readSealingKeys } from "../../src/usecases/sealing-keys.ts";
import { addOrganization, addWebhook, testIds } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { waitFor } from "../support/wait-for.ts";

const [newKey, oldKey, lostKey] = [1, 2, 3].map(() => randomBytes(32)) as [Buffer, Buffer, Buffer];
const oldBox = createSecretBox({ keys: [oldKey] });
const box = createSecretBox({ keys: [newKey, oldKey] });
const newBox = createSecretBox({ keys: [newKey] });

let database: Database;
withOwnDatabase({ maxConnections: 8 }, (own) => {
  database = own;
});
beforeEach(() => query("truncate organization, idempotency_key cascade"));

it("everything is sealed with the first key, in batches, and opens with it alone", async () => {
  const secrets = await addSecrets(oldBox, 11);
  await keepAnswer(oldBox, "a");
  expect(await run({ batch: 3 })).toEqual({ secrets: 11, answers: 1, unopenable: 0 });
  for (const { id, webhookId, text } of secrets) expect(newBox.open(await sealedOf(id), webhookId)).toBe(text);
  expect((await idempotently(newBox, "a")).replayed).toBe(true);
  expect(await run()).toEqual({ secrets: 0, answers: 0, unopenable: 0 });
});

it("a dry run says the same and changes nothing", async () => {
  const [{ id } = { id: "" }] = await addSecrets(oldBox, 2);
  const before = await sealedOf(id);
  expect(await tryReencryption({ sql: database.sql, secretBox: box, onUnopenable: () => {} })).toEqual({
    secrets: 2,
    answers: 0,
    unopenable: 0,
  });
  expect(await sealedOf(id)).toEqual(before);
});

it("what no key opens stays as it is, is told of once with its webhook, and holds up nothing else", async () => {
  const lost = await addSecrets(createSecretBox({ keys: [lostKey] }), 2);
  const [changed] = await addSecrets(oldBox, 1);
  await query("update webhook_secret set sealed = overlay(sealed placing '\\x00' from 30) where id = $1", [
    changed!.id,
  ]);
  await addSecrets(oldBox, 5);
  await keepAnswer(createSecretBox({ keys: [lostKey] }), "lost");
  const told: UnopenableRow[] = [];
  expect(await run({ batch: 2, onUnopenable: (row) => told.push(row) })).toEqual({
    secrets: 5,
    answers: 0,
    unopenable: 4,
  });
  const ofSecrets = told.filter((row) => row.kind === "secret");
  expect(ofSecrets.map(({ webhookId }) => webhookId).sort()).toEqual(
    [...lost, changed!].map(({ webhookId }) => webhookId).sort(),
  );
  expect(new Set(ofSecrets.map(({ organizationId }) => organizationId)).size).toBe(2);
  expect(told.filter(({ kind }) => kind === "answer")).toHaveLength(1);
  expect(readSealedHeader(await sealedOf(lost[0]!.id)).keyId).toBe(createSecretBox({ keys: [lostKey] }).keyIds[0]);
});

it("secrets that have expired go, so that one which was rotated because its key is lost is told of no more", async () => {
  const lost = await addSecrets(createSecretBox({ keys: [lostKey] }), 5);
  const [other] = await addSecrets(oldBox, 1);
  const expire = "update webhook_secret set expires_at = now() + $2::interval where id = any($1::uuid[])";
  await query(expire, [lost.map(({ id }) => id), "1 minute"]);
  expect(await run()).toEqual({ secrets: 1, answers: 0, unopenable: 5 });
  await query(expire, [lost.map(({ id }) => id), "-1 second"]);
  expect(await tryReencryption({ sql: database.sql, secretBox: box, onUnopenable: () => {} })).toEqual({
    secrets: 0,
    answers: 0,
    unopenable: 0,
  });
  expect(await query("select 1 from webhook_secret")).toHaveLength(6);
  expect(await run({ batch: 2 })).toEqual({ secrets: 0, answers: 0, unopenable: 0 });
  expect(await query("select id from webhook_secret")).toEqual([{ id: other!.id }]);
});

it("a run that ended halfway is gone on with by the next one", async () => {
  await addSecrets(oldBox, 9);
  let transactions = 0;
  const failing = {
    ...database.sql,
    transaction: (work: Parameters<typeof database.sql.transaction>[0]) => {
      transactions += 1;
      return transactions === 3 ? Promise.reject(new Error("the connection is lost")) : database.sql.transaction(work);
    },
  } as typeof database.sql;
  await expect(run({ batch: 2, sql: failing })).rejects.toThrow("the connection is lost");
  expect(await countOf(newBox)).toBe(4);
  expect(await run()).toMatchObject({ secrets: 5 });
  expect(await countOf(newBox)).toBe(9);
});

it("two runs at once share the work, and each secret is sealed anew once", async () => {
  await addSecrets(oldBox, 60);
  const runs = await Promise.all([run({ batch: 2 }), run({ batch: 2 })]);
  expect(runs.reduce((sum, { secrets }) => sum + secrets, 0)).toBe(60);
  expect(await countOf(newBox)).toBe(60);
});

it("it waits for no transaction that has a secret, and comes back to what that leaves", async () => {
  const secrets = await addSecrets(oldBox, 6);
  const released = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const rotation = database.sql.transaction(async (transaction) => {
    const lock = { name: "", text: "select 1 from webhook_secret where id = any($1::uuid[]) for update" };
    await transaction.query(lock, [secrets.slice(0, 3).map(({ id }) => id)]);
    locked.resolve();
    await released.promise;
    await transaction.query({ name: "", text: "delete from webhook_secret where id = $1" }, [secrets[0]!.id]);
  });
  await locked.promise;
  const running = run({ batch: 2 });
  await waitFor(async () => (await countOf(newBox)) === 3, { what: "those that nobody has" });
  released.resolve();
  await rotation;
  expect(await running).toEqual({ secrets: 5, answers: 0, unopenable: 0 });
  expect(await countOf(newBox)).toBe(5);
});

it("a row that no key opens, and that goes away meanwhile, does not stand for one that others had locked", async () => {
  const [lost] = await addSecrets(createSecretBox({ keys: [lostKey] }), 1);
  const [held] = await addSecrets(oldBox, 1);
  const released = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holding = database.sql.transaction(async (transaction) => {
    const lock = { name: "", text: "select 1 from webhook_secret where id = $1 for update" };
    await transaction.query(lock, [held!.id]);
    locked.resolve();
    await released.promise;
  });
  await locked.promise;
  // What is asked for outside of a transaction is how much is left.
  let looks = 0;
  const sql = {
    ...database.sql,
    query: async (...[statement, parameters]: Parameters<typeof database.sql.query>) => {
      if (looks === 0) await query("delete from webhook_secret where id = $1", [lost!.id]);
      looks += 1;
      const rows = await database.sql.query(statement, parameters);
      released.resolve();
      await holding;
      return rows;
    },
  } as typeof database.sql;
  expect(await run({ sql })).toMatchObject({ secrets: 1 });
  expect(looks).toBe(2);
  expect(await countOf(newBox)).toBe(1);
});

it("the status counts by key what is sealed, and what no key of the list opens", async () => {
  await addSecrets(oldBox, 3);
  await addSecrets(box, 2);
  await addSecrets(createSecretBox({ keys: [lostKey] }), 1);
  await keepAnswer(oldBox, "a");
  const keys = await readSealingKeys({ sql: database.sql, secretBox: box });
  expect(keys.map(({ role, secrets, answers, inOlderForm }) => [role, secrets, answers, inOlderForm])).toEqual([
    ["seals", 2, 0, 0],
    ["opens", 3, 2, 0],
    ["missing", 1, 0, 0],
  ]);
  expect(keys.map(({ keyId }) => keyId)).toEqual([...box.keyIds, createSecretBox({ keys: [lostKey] }).keyIds[0]]);
});

async function run(options: Partial<Parameters<typeof reencryptSecrets>[0]> = {}) {
  return await reencryptSecrets({ sql: database.sql, secretBox: box, onUnopenable: () => {}, ...options });
}

/** Webhooks of one organization, each with one secret that the box sealed. */
async function addSecrets(sealing: SecretBox, count: number) {
  const organizationId = await addOrganization(database);
  const added: { id: string; webhookId: string; text: string }[] = [];
  for (let index = 0; index < count; index += 1) {
    const { webhook, secret: text } = await addWebhook(database, organizationId, { url: "https://example.com/" });
    const [row] = await query<{ id: string }>(
      "update webhook_secret set sealed = $2 where webhook_id = $1 returning id",
      [webhook.id, sealing.seal(text, webhook.id)],
    );
    added.push({ id: row!.id, webhookId: webhook.id, text });
  }
  return added;
}

async function idempotently(sealing: SecretBox, key: string) {
  const log = { backgroundFailure: () => {} };
  const runOnce = createRunIdempotently({ database, secretBox: sealing, ids: testIds, log });
  return await runOnce({ scope: "test", key, fingerprint: "f" }, async () => Buffer.from(newUuid(testIds)));
}

async function keepAnswer(sealing: SecretBox, key: string): Promise<void> {
  expect((await idempotently(sealing, key)).replayed).toBe(false);
}

async function sealedOf(id: string): Promise<Buffer> {
  const [row] = await query<{ sealed: Buffer }>("select sealed from webhook_secret where id = $1", [id]);
  return row!.sealed;
}

/** How many secrets are sealed with the first key of the box. */
async function countOf({ header }: SecretBox): Promise<number> {
  return (await query("select 1 from webhook_secret where substring(sealed from 1 for 9) = $1", [header])).length;
}

async function query<Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> {
  return await database.sql.query<Row>({ name: "", text }, parameters);
}

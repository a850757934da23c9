import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { signingKeysAt } from "../../src/delivery/subscription.ts";
import { createSubscriptions, type SubscriptionsOptions } from "../../src/delivery/subscriptions.ts";
import { HmacKey } from "../../src/domain/hmac-key.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { signatureHeaders } from "../../src/domain/signature.ts";
import type { SigningKey } from "../../src/domain/signing-key.ts";
import type { Database } from "../../src/store/database.ts";
import { WebhookSecretEntity } from "../../src/store/entities/webhook-secret.ts";
import type { Sql } from "../../src/store/sql.ts";
import { addOrganization, addWebhook, newEvent, testSecretBox } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { waitFor } from "../support/wait-for.ts";

let database: Database;
const url = "https://example.com/hook";

withOwnDatabase({ maxConnections: 4 }, (own) => {
  database = own;
});

test("organizations that are missing together are read with one statement", async () => {
  const organizationIds = await Promise.all(Array.from({ length: 5 }, () => addOrganization(database)));
  await addWebhook(database, organizationIds[0]!, { url });
  const { sql, statements } = counted();
  const subscriptions = subscriptionsOf({ sql });
  const found = await Promise.all([...organizationIds, organizationIds[0]!].map(subscriptions.of));
  expect(found.map((organization) => organization?.size)).toEqual([1, 0, 0, 0, 0, 1]);
  expect(statements()).toBe(1);
  await Promise.all(organizationIds.map(subscriptions.of));
  expect(organizationIds.every((id) => subscriptions.cached(id) !== undefined)).toBe(true);
  expect(statements()).toBe(1);
});

test("an organization with very many webhooks delays none of those that are missing with it", async () => {
  const large = await addOrganization(database);
  const small = await addOrganization(database);
  await addWebhook(database, small, { url });
  const many = `
    insert into webhook select (jsonb_populate_record(w, jsonb_build_object('id', gen_random_uuid(), 'organization_id', $1::text))).*
    from webhook w, generate_series(1, 1500) where w.organization_id = $2`;
  await database.sql.query({ name: "", text: many }, [large, small]);
  const release = Promise.withResolvers<void>();
  const { sql, statements } = counted(async (rows) => {
    // What reads all of the large organization's webhooks takes its time.
    if ((await rows()).length > 1_100) await release.promise;
  });
  const subscriptions = subscriptionsOf({ sql, maxWebhooks: 10_000 });
  const reading = subscriptions.of(large);
  expect(await subscriptions.of(small)).toMatchObject({ size: 1 });
  expect(subscriptions.cached(large)).toBeUndefined();
  const joining = subscriptions.of(large);
  release.resolve();
  expect(await reading).toMatchObject({ size: 1_500 });
  expect(await joining).toBe(await reading);
  expect(subscriptions.cached(large)).toBe(await reading);
  expect(statements()).toBe(2);
  // Alone it is read at once, with one statement.
  subscriptions.invalidate(large);
  expect(await subscriptions.of(large)).toMatchObject({ size: 1_500 });
  expect(statements()).toBe(3);
});

test("a large organization that cannot be read fails for those who ask for it, and is read again", async () => {
  const large = await addOrganization(database);
  const small = await addOrganization(database);
  await addWebhook(database, small, { url });
  await addWebhook(database, large, { url });
  const text = `
    insert into webhook select (jsonb_populate_record(w, jsonb_build_object('id', gen_random_uuid()))).*
    from webhook w, generate_series(1, 1500) where w.organization_id = $1`;
  await database.sql.query({ name: "", text }, [large]);
  let fails = true;
  const { sql } = counted(async (rows) => {
    if ((await rows()).length > 1_100 && fails) throw new Error("the database is away");
  });
  const subscriptions = subscriptionsOf({ sql, maxWebhooks: 10_000 });
  const reading = subscriptions.of(large);
  // Nobody waits for this one: its failure ends no process.
  void subscriptions.of(small);
  await expect(reading).rejects.toThrow("the database is away");
  fails = false;
  expect(await subscriptions.of(large)).toMatchObject({ size: 1_501 });
});

test("an organization that does not exist is asked for again, because it may be created", async () => {
  const subscriptions = subscriptionsOf();
  const { organizationId } = newEvent("01900000-0000-7000-8000-000000000001");
  expect(await subscriptions.of(organizationId)).toBeUndefined();
  const text = "insert into organization (id, name, created_at, updated_at) values ($1, 'New', now(), now())";
  await database.sql.query({ name: "", text }, [organizationId]);
  expect(await subscriptions.of(organizationId)).toMatchObject({ size: 0 });
});

test("a webhook comes with its rate limit, its order, its policy, and what holds where it sets none", async () => {
  const organizationId = await addOrganization(database);
  const { webhook: plain } = await addWebhook(database, organizationId, { url });
  const { webhook: special } = await addWebhook(database, organizationId, {
    url,
    projectIds: ["p1"],
    eventTypes: ["a.b"],
    headers: { "x-key": "1" },
    config: { a: 1 },
    retryDelaysMs: [1_000, 2_000],
    maxAttempts: 7,
    timeoutMs: 3_000,
    rateLimitCount: 5,
    rateLimitPeriodMs: 60_000,
    ordering: "BY_KEY",
  });
  const organization = await subscriptionsOf().of(organizationId);
  expect(organization!.byId.get(special.id)).toMatchObject({
    organizationId,
    projectIds: new Set(["p1"]),
    headers: { "x-key": "1" },
    policy: { delaysMs: [1_000, 2_000], maxAttempts: 7, timeoutMs: 3_000 },
    rateLimit: { count: 5, periodMs: 60_000 },
    ordering: "BY_KEY",
  });
  expect(JSON.parse(organization!.byId.get(special.id)!.configJson!)).toEqual({ a: 1 });
  expect(organization!.byId.get(plain.id)).toMatchObject({
    headers: {},
    configJson: null,
    policy: DEFAULT_RETRY_POLICY,
    rateLimit: null,
    ordering: "NONE",
  });
  const matching = organization!.match("a.b").map(({ webhookId }) => webhookId);
  expect(matching.toSorted()).toEqual([plain.id, special.id].toSorted());
  expect(organization!.match("a.c").map(({ webhookId }) => webhookId)).toEqual([plain.id]);
});

test("a secret that cannot be opened, or is none, concerns its webhook alone", async () => {
  const organizationId = await addOrganization(database);
  const { webhook: healthy } = await addWebhook(database, organizationId, { url });
  const { webhook: foreign } = await addWebhook(database, organizationId, { url });
  const { webhook: broken } = await addWebhook(database, organizationId, { url });
  const otherBox = createSecretBox({ keys: [randomBytes(32)] });
  await replaceSecret(foreign.id, otherBox.seal("whsec_x", foreign.id));
  await replaceSecret(broken.id, testSecretBox.seal("no secret", broken.id));
  const organization = await subscriptionsOf().of(organizationId);
  const keysOf = (webhookId: string) => signingKeysAt(organization!.byId.get(webhookId)!, Date.now());
  expect(keysOf(healthy.id)).toMatchObject({ kind: "keys", keys: [expect.anything()] });
  expect(keysOf(foreign.id)).toMatchObject({
    kind: "unusable",
    problem: expect.stringMatching(/cannot be decrypted: rotate .+ TELLWIRE_SECRETS_KEY/),
  });
  expect(keysOf(broken.id)).toMatchObject({ kind: "unusable", problem: expect.stringMatching(/begin with whsec_/) });
});

test("a secret is opened once, and a replaced one signs until it expires", async () => {
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url });
  const expiresAt = Date.now() + 60_000;
  await database.sql.query(
    { name: "", text: "update webhook_secret set expires_at = to_timestamp($2 / 1000.0) where webhook_id = $1" },
    [webhook.id, expiresAt],
  );
  await addSecretOf(webhook.id);
  let opened = 0;
  const open: typeof testSecretBox.open = (...sealed) => {
    opened += 1;
    return testSecretBox.open(...sealed);
  };
  const organization = await subscriptionsOf({ secretBox: { ...testSecretBox, open } }).of(organizationId);
  const subscription = organization!.byId.get(webhook.id)!;
  expect(opened).toBe(0);
  expect(signingKeysAt(subscription, expiresAt - 1)).toMatchObject({ keys: { length: 2 } });
  expect(signingKeysAt(subscription, expiresAt - 1)).toMatchObject({ keys: { length: 2 } });
  expect(signingKeysAt(subscription, expiresAt)).toMatchObject({ keys: { length: 1 } });
  expect(opened).toBe(2);
});

test("event types and projects come as they are stored, whatever stands in them", async () => {
  const organizationId = await addOrganization(database);
  const odd = ['a,b"c', "x.{y}\\z", "späte.🐢", "NULL", "", " "];
  const { webhook } = await addWebhook(database, organizationId, { url });
  const text = "update webhook set event_types = $2, project_ids = $2 where id = $1";
  await database.sql.query({ name: "", text }, [webhook.id, odd]);
  const organization = await subscriptionsOf().of(organizationId);
  expect(organization!.byId.get(webhook.id)).toMatchObject({ eventTypes: odd, projectIds: new Set(odd) });
});

test("secrets come newest first, each with its own end", async () => {
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url });
  await database.sql.query({ name: "", text: "delete from webhook_secret where webhook_id = $1" }, [webhook.id]);
  const keys = [randomBytes(24), randomBytes(64), randomBytes(32)];
  const newestAt = Date.UTC(2026, 4, 1);
  const ends = [null, newestAt + 60_000.5, newestAt + 30_000];
  for (const [age, key] of keys.entries()) {
    const sealed = testSecretBox.seal(`whsec_${key.toString("base64")}`, webhook.id);
    await addSealedSecret(webhook.id, sealed, { createdAt: newestAt - age * 1_000, expiresAt: ends[age] ?? null });
  }
  const organization = await subscriptionsOf().of(organizationId);
  const subscription = organization!.byId.get(webhook.id)!;
  const signing = (now: number) => {
    const found = signingKeysAt(subscription, now);
    return found.kind === "keys" ? found.keys.map(signatureBy) : found.problem;
  };
  const expected = keys.map((key) => signatureBy(new HmacKey(key)));
  expect(signing(newestAt)).toEqual(expected);
  expect(signing(newestAt + 30_000)).toEqual(expected.slice(0, 2));
  expect(signing(newestAt + 60_000)).toEqual(expected.slice(0, 2));
  expect(signing(newestAt + 60_001)).toEqual(expected.slice(0, 1));
});

test("a webhook without a secret signs with none, and holds up no other", async () => {
  const organizationId = await addOrganization(database);
  const { webhook: bare } = await addWebhook(database, organizationId, { url });
  await database.sql.query({ name: "", text: "delete from webhook_secret where webhook_id = $1" }, [bare.id]);
  const organization = await subscriptionsOf().of(organizationId);
  expect(signingKeysAt(organization!.byId.get(bare.id)!, Date.now())).toEqual({ kind: "keys", keys: [] });
});

test("what was being read when a change was told of is read again", async () => {
  const organizationId = await addOrganization(database);
  const release = Promise.withResolvers<void>();
  let reads = 0;
  const subscriptions = subscriptionsOf({
    sql: watched(async (rows) => {
      reads += 1;
      if (reads === 1) {
        await rows();
        await release.promise;
      }
    }),
  });
  const before = subscriptions.of(organizationId);
  await waitFor(() => reads === 1);
  await addWebhook(database, organizationId, { url });
  subscriptions.invalidate(organizationId);
  const after = await subscriptions.of(organizationId);
  release.resolve();
  await before;
  expect(after).toMatchObject({ size: 1 });
  expect(subscriptions.cached(organizationId)).toMatchObject({ size: 1 });
});

test("memory is bounded by the number of webhooks: the organization that was needed longest ago goes", async () => {
  const organizationIds = await Promise.all(Array.from({ length: 3 }, () => addOrganization(database)));
  for (const organizationId of [...organizationIds, ...organizationIds]) {
    await addWebhook(database, organizationId, { url });
  }
  const subscriptions = subscriptionsOf({ maxWebhooks: 4 });
  for (const organizationId of organizationIds) {
    await subscriptions.of(organizationId);
  }
  expect(organizationIds.map((id) => subscriptions.cached(id)?.size)).toEqual([undefined, 2, 2]);
});

test("an organization with more webhooks than the bound is kept, alone", async () => {
  const organizationId = await addOrganization(database);
  await addWebhook(database, organizationId, { url });
  await addWebhook(database, organizationId, { url });
  const subscriptions = subscriptionsOf({ maxWebhooks: 1 });
  await subscriptions.of(organizationId);
  expect(subscriptions.cached(organizationId)).toMatchObject({ size: 2 });
});

test("what grows old is read again beside the work, and is never older than the limit", async () => {
  const organizationId = await addOrganization(database);
  let now = 0;
  const { sql, statements } = counted();
  const subscriptions = subscriptionsOf({ sql, maxAgeMs: 100_000, now: () => now });
  await subscriptions.of(organizationId);
  await addWebhook(database, organizationId, { url });
  now = 49_000;
  expect(subscriptions.cached(organizationId)).toMatchObject({ size: 0 });
  expect(statements()).toBe(1);
  now = 95_000;
  expect(subscriptions.cached(organizationId)).toMatchObject({ size: 0 });
  await waitFor(() => subscriptions.cached(organizationId)?.size === 1);
  expect(statements()).toBe(2);
  now = 195_000;
  expect(subscriptions.cached(organizationId)).toBeUndefined();
});

test("a statement that failed is not remembered", async () => {
  const organizationId = await addOrganization(database);
  let fails = true;
  const subscriptions = subscriptionsOf({
    sql: watched(() => (fails ? Promise.reject(new Error("the database is away")) : Promise.resolve())),
  });
  await expect(subscriptions.of(organizationId)).rejects.toThrow("the database is away");
  fails = false;
  expect(await subscriptions.of(organizationId)).toMatchObject({ size: 0 });
});

function subscriptionsOf(options: Partial<SubscriptionsOptions> = {}) {
  return createSubscriptions({
    sql: database.sql,
    secretBox: testSecretBox,
    defaultPolicy: DEFAULT_RETRY_POLICY,
    requestOrigin: "tellwire.test",
    maxAgeMs: 300_000,
    maxWebhooks: 1_000,
    ...options,
  });
}

/** The same database, whose statements are watched before they run. */
function watched(watch: (rows: () => Promise<unknown[]>) => Promise<void>): Sql {
  return {
    ...database.sql,
    async query<Row>(...statement: Parameters<Sql["query"]>) {
      let running: Promise<Row[]> | undefined;
      const rows = () => {
        running ??= database.sql.query<Row>(...statement);
        return running;
      };
      await watch(rows);
      return await rows();
    },
  };
}

function counted(watch: Parameters<typeof watched>[0] = async () => {}): { sql: Sql; statements: () => number } {
  let count = 0;
  const sql = watched(async (rows) => {
    count += 1;
    await watch(rows);
  });
  return { sql, statements: () => count };
}

async function replaceSecret(webhookId: string, sealed: Buffer): Promise<void> {
  const text = "update webhook_secret set sealed = $2 where webhook_id = $1";
  await database.sql.query({ name: "", text }, [webhookId, sealed]);
}

async function addSealedSecret(
  webhookId: string,
  sealed: Buffer,
  { createdAt, expiresAt }: { createdAt: number; expiresAt: number | null },
): Promise<void> {
  const text = `
    insert into webhook_secret (id, webhook_id, sealed, created_at, expires_at)
    values ($1, $2, $3, to_timestamp($4::float8 / 1000), to_timestamp($5::float8 / 1000))`;
  const { id } = newEvent(webhookId);
  await database.sql.query({ name: "", text }, [id, webhookId, sealed, createdAt, expiresAt]);
}

async function addSecretOf(webhookId: string): Promise<void> {
  const em = database.em();
  const sealed = testSecretBox.seal(`whsec_${randomBytes(32).toString("base64")}`, webhookId);
  em.create(WebhookSecretEntity, {
    id: newEvent(webhookId).id,
    webhookId,
    sealed,
    createdAt: new Date(Date.now() + 1_000),
    expiresAt: null,
  });
  await em.flush();
}

/** What tells one key from another. */
function signatureBy(key: SigningKey): string {
  return signatureHeaders({ id: "evt_1", timestampSeconds: 0, body: Buffer.of(), keys: [key] })["webhook-signature"];
}

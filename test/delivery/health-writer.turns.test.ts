import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createHealthWriter, type HealthWriter } from "../../src/delivery/health-writer.ts";
import type { Database } from "../../src/store/database.ts";
import { copyWebhook } from "../support/copy-webhook.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";

let database: Database;
/** 2,500 of them for each test. */
let webhookIds: readonly string[];
let writer: HealthWriter;
/** Resolves when a writing is done, of which each is one statement here. */
let written: () => Promise<void>;

const intervalMs = 1_000;
const at = Date.UTC(2026, 4, 1, 12);

withOwnDatabase({ maxConnections: 4 }, (own) => {
  database = own;
});

beforeEach(async () => {
  const { webhook } = await addWebhook(database, await addOrganization(database), { url: "https://example.com/hook" });
  webhookIds = await copyWebhook(database, webhook.id, 2_500);
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  let done = Promise.withResolvers<void>();
  const { sql } = database;
  const query: typeof sql.query = async (...call) => {
    const answer = await sql.query(...call);
    done.resolve();
    return answer as never;
  };
  writer = createHealthWriter({ sql: { ...sql, query }, intervalMs, onFailure: done.reject });
  written = async () => {
    await done.promise;
    done = Promise.withResolvers();
  };
});
afterEach(async () => {
  await writer.stop();
  vi.useRealTimers();
});

it("successes of very many webhooks are written a thousand webhooks at a time, those that wait for longest first", async () => {
  for (const webhookId of webhookIds) succeed(webhookId);
  // Who is called again keeps its place.
  for (const webhookId of webhookIds.slice(0, 2)) succeed(webhookId, at + 1);
  await nextWriting();
  expect(await attempts()).toEqual([...times(2, 2), ...times(998, 1), ...times(1_500, 0)]);
  for (const webhookId of webhookIds.slice(0, 1_000)) succeed(webhookId, at + 2);
  await nextWriting();
  expect(await attempts()).toEqual([...times(2, 2), ...times(1_998, 1), ...times(500, 0)]);
  await nextWriting();
  expect(await attempts()).toEqual([...times(2, 3), ...times(498, 2), ...times(500, 1), ...times(1_500, 1)]);
});

it("a failure, and the success that ends failures, are written with the next interval, whoever else waits", async () => {
  const last = webhookIds.at(-1) ?? "";
  for (const webhookId of webhookIds) succeed(webhookId);
  writer.add({ webhookId: last, at: at + 1, error: "HTTP 500", exhausted: false });
  await nextWriting();
  expect(await healthOf(last)).toEqual({ total: 2, failed: 1, failures: 1, failing: true });
  for (const webhookId of webhookIds) succeed(webhookId, at + 2);
  await nextWriting();
  expect(await healthOf(last)).toEqual({ total: 3, failed: 1, failures: 0, failing: false });
});

it("what still waits is written when the writer stops", async () => {
  for (const webhookId of webhookIds) succeed(webhookId);
  await writer.stop();
  expect(await attempts()).toEqual(times(2_500, 1));
});

function succeed(webhookId: string, time = at): void {
  writer.add({ webhookId, at: time, error: null, exhausted: false });
}

async function nextWriting(): Promise<void> {
  vi.advanceTimersByTime(intervalMs);
  await written();
}

/** Of each webhook, in their order. */
async function attempts(): Promise<number[]> {
  const text = `
    select h.total_attempts::integer as total
    from unnest($1::uuid[]) with ordinality as w (id, place) join webhook_health h on h.webhook_id = w.id
    order by w.place`;
  const rows = await database.sql.query<{ total: number }>({ name: "", text }, [webhookIds]);
  return rows.map(({ total }) => total);
}

async function healthOf(webhookId: string): Promise<unknown> {
  const text = `
    select total_attempts::integer as total, failed_attempts::integer as failed, consecutive_failures as failures,
           failing_since is not null as failing
    from webhook_health where webhook_id = $1`;
  const [row] = await database.sql.query({ name: "", text }, [webhookId]);
  return row;
}

function times(count: number, value: number): number[] {
  return Array.from({ length: count }, () => value);
}

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AuditAction, AuditEntry } from "../../src/domain/audit-entry.ts";
import { newUuid, timeOfId } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { type AuditPageFilters, auditPageStatement, readAuditPage } from "../../src/store/sql/audit-pages.ts";
import { insertAuditEntries } from "../../src/store/sql/insert-audit-entries.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { planSteps, rowsRead } from "./explain.ts";

const organizationId = randomUUID();
const otherOrganizationId = randomUUID();
const [busyWebhookId, quietWebhookId] = [randomUUID(), randomUUID()];
const start = Date.UTC(2020, 0, 1);
const count = 20_000;
const pageSize = 51;

let testDatabase: TestDatabase;
let database: Database;
/** Newest first. */
let entries: AuditEntry[];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openTestPostgres(testDatabase.url, { maxConnections: 2 });
  // Two organizations alike, of which one key in a hundred, one action in two hundred and one webhook in five hundred is rare.
  entries = Array.from({ length: count }, (_, index) => entryAt(index)).reverse();
  for (let from = 0; from < count; from += 5_000) {
    await insertAuditEntries(database.sql, entries.slice(from, from + 5_000));
  }
  // As autovacuum does.
  await database.sql.query({ name: "", text: "analyze" }, []);
});
afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

function entryAt(index: number): AuditEntry {
  const action: AuditAction = index % 200 === 0 ? "webhook.delete" : "webhook.update";
  return {
    id: newUuid({
      now: () => start + index * 1_000,
      randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
    }),
    organizationId: index % 1_000 === 7 ? null : index % 2 === 0 ? organizationId : otherOrganizationId,
    actor: { kind: "API_KEY", id: index % 100 === 0 ? "key_rare" : "key_busy" },
    origin: { address: "192.0.2.1", userAgent: null, requestId: null },
    action,
    resource: { type: "webhook", id: index % 500 === 0 ? quietWebhookId : busyWebhookId },
    changedFields: ["description"],
    before: { description: `${index - 1}` },
    after: { description: `${index}` },
  };
}

it("an entry is read as it was written, with what is not known of it left open", async () => {
  const [first] = await readAuditPage(database.sql, filters({}), { before: undefined, limit: 1 });
  expect(first).toEqual(entries[0]);
  expect(timeOfId(first!.id)).toBe(start + (count - 1) * 1_000);
});

it("an entry that is written twice is there once", async () => {
  await insertAuditEntries(database.sql, [{ ...entries[0]!, action: "webhook.create" }]);
  const page = await readAuditPage(database.sql, filters({}), { before: undefined, limit: 2 });
  expect(page).toEqual(entries.slice(0, 2));
});

it("pages show every entry of an organization once, newest first, and none of another one or of none", async () => {
  const read: string[] = [];
  for (let before: string | undefined; ; before = read.at(-1)) {
    const page = await readAuditPage(database.sql, filters({ organizationId }), { before, limit: 997 });
    read.push(...page.map(({ id }) => id));
    if (page.length < 997) break;
  }
  expect(read).toEqual(entries.filter((entry) => entry.organizationId === organizationId).map(({ id }) => id));
});

it("actors, actions, resources and times narrow a page down", async () => {
  const matching = async (given: Partial<AuditPageFilters>): Promise<number> =>
    (await readAuditPage(database.sql, filters(given), { before: undefined, limit: 2 * count })).length;
  expect(await matching({})).toBe(count);
  expect(await matching({ actorId: "key_rare" })).toBe(200);
  expect(await matching({ action: "webhook.delete" })).toBe(100);
  expect(await matching({ action: "webhook.delete", organizationId: otherOrganizationId })).toBe(0);
  expect(await matching({ resourceId: quietWebhookId })).toBe(40);
  expect(await matching({ resourceId: quietWebhookId, organizationId: otherOrganizationId })).toBe(0);
  expect(await matching({ createdAfter: new Date(start + 5_000), createdBefore: new Date(start + 9_000) })).toBe(4);
  expect(await matching({ createdBefore: new Date(-5) })).toBe(0);
});

describe("a page reads what it shows and no more, however many entries there are", () => {
  const lists: [string, Partial<AuditPageFilters>][] = [
    ["of all organizations", {}],
    ["of an organization", { organizationId }],
    ["of a busy webhook", { resourceId: busyWebhookId }],
    ["of a quiet webhook, asked for by its organization", { resourceId: quietWebhookId, organizationId }],
    ["of a key that is seldom used", { actorId: "key_rare" }],
    ["of a key that is seldom used, in an organization", { actorId: "key_rare", organizationId }],
    ["of a busy key, in an organization", { actorId: "key_busy", organizationId }],
    ["of a rare action", { action: "webhook.delete" }],
    ["of a rare action, in an organization", { action: "webhook.delete", organizationId }],
    ["of a frequent action, in an organization", { action: "webhook.update", organizationId }],
    ["of a day long ago", { createdBefore: new Date(start + 500_000), organizationId }],
  ];

  it.each(lists)("the list %s", async (_name, given) => {
    for (const before of [undefined, entries[count / 2]!.id]) {
      const { statement, parameters } = auditPageStatement(filters(given), { before, limit: pageSize });
      const text = `explain (analyze, format json) ${statement.text}`;
      const steps = planSteps(await database.sql.query({ name: "", text }, parameters));
      expect(steps.filter(({ type }) => type === "Seq Scan")).toEqual([]);
      // Where a list as a whole has a few hundred entries, the database may read and sort them all.
      expect(rowsRead(steps)).toBeLessThanOrEqual(5 * pageSize);
    }
  });
});

it("an entry cannot be changed, not even by whoever writes to the database", async () => {
  const change = database.sql.query({ name: "", text: "update audit_entry set actor_id = 'nobody'" }, []);
  await expect(change).rejects.toThrow("audit entries are never changed");
});

function filters(given: Partial<AuditPageFilters>): AuditPageFilters {
  return {
    organizationId: undefined,
    actorId: undefined,
    action: undefined,
    resourceId: undefined,
    createdAfter: undefined,
    createdBefore: undefined,
    ...given,
  };
}

import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import type { DeliveryStatus } from "../../src/domain/delivery.ts";
import { deliveryIdRange } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import {
  type DeliveryPageFilters,
  deliveryPageStatement,
  readDeliveryPage,
} from "../../src/store/sql/delivery-pages.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { type PlanStep, planSteps, rowsRead } from "./explain.ts";
import { insertHistory } from "./history.ts";

const dayMs = 24 * 60 * 60_000;
const days = 6;
const firstDay = Date.UTC(2020, 0, 1);
const organizationId = randomUUID();
const otherOrganizationId = randomUUID();
const [busyWebhookId, quietWebhookId, otherWebhookId] = [randomUUID(), randomUUID(), randomUUID()];

let database: Database;
/** The deliveries of the organization, newest first. */
const ids: string[] = [];

withOwnDatabase({ maxConnections: 2 }, async (own) => {
  database = own;
  await ensurePartitions(database.sql, { now: firstDay, daysBefore: 0, daysAhead: days - 1 });
  // Several tens of thousands of rows: two organizations alike, and a webhook that gets one event in a hundred.
  for (let day = firstDay; day < firstDay + days * dayMs; day += dayMs) {
    const own = { day, webhooks: 1, scheduled: 300, exhaustedEvery: 50, organizationId };
    ids.push(...(await insertHistory(database.sql, { ...own, events: 4_000, webhookIds: [busyWebhookId] })));
    ids.push(
      ...(await insertHistory(database.sql, { ...own, events: 40, scheduled: 5, webhookIds: [quietWebhookId] })),
    );
    const other = {
      day,
      webhooks: 1,
      events: 4_000,
      organizationId: otherOrganizationId,
      webhookIds: [otherWebhookId],
    };
    await insertHistory(database.sql, other);
  }
  ids.sort().reverse();
});

it("pages over both tables show every delivery once, newest first", async () => {
  const read: string[] = [];
  for (let before: string | undefined; ; before = read.at(-1)) {
    const page = await readDeliveryPage(database.sql, filters({ organizationId }), { before, limit: 997 });
    read.push(...page.map(({ id }) => id));
    if (page.length < 997) break;
  }
  expect(read).toEqual(ids);
});

it("a page shows what is scheduled and what is finished in one order, with the fields of each", async () => {
  const page = await readDeliveryPage(database.sql, filters({ webhookId: quietWebhookId }), {
    before: undefined,
    limit: 10,
  });
  expect(page.map(({ status }) => status)).toEqual([...Array(5).fill("SCHEDULED"), ...Array(5).fill("DELIVERED")]);
  expect(page[0]).toMatchObject({ nextAttemptAt: expect.any(Date), completedAt: null, lastStatusCode: 500 });
  expect(page[9]).toMatchObject({ nextAttemptAt: null, manualRetry: null, lastStatusCode: 200 });
  expect(page[9]?.completedAt).toEqual(page[9]?.createdAt);
});

it("statuses, times and events narrow a page down", async () => {
  const count = async (given: Partial<DeliveryPageFilters>): Promise<number> =>
    (await readDeliveryPage(database.sql, filters({ organizationId, ...given }), { before: undefined, limit: 50_000 }))
      .length;
  expect(await count({ statuses: ["SCHEDULED"] })).toBe(days * 305);
  expect(await count({ statuses: ["EXHAUSTED"] })).toBe(days * 74);
  expect(await count({ statuses: ["CANCELLED"] })).toBe(0);
  expect(await count({ statuses: ["EXHAUSTED", "SCHEDULED"] })).toBe(days * 379);
  expect(await count({ statuses: ["DELIVERED", "EXHAUSTED"] })).toBe(days * 3_735);
  expect(
    await count({ createdAfter: new Date(firstDay + 2 * dayMs), createdBefore: new Date(firstDay + 3 * dayMs) }),
  ).toBe(4_040);
  expect(await count({ createdBefore: new Date(-5) })).toBe(0);
  expect(await count({ eventType: "b" })).toBe(0);
  expect(await count({ webhookId: otherWebhookId })).toBe(0);
  expect(await count({ events: [] })).toBe(0);
  const [one] = await readDeliveryPage(database.sql, filters({ organizationId }), { before: ids[2_000], limit: 1 });
  const range = deliveryIdRange(one!.eventId, one!.createdAt.getTime());
  expect(await count({ events: [{ eventId: one!.eventId, ...range }] })).toBe(1);
});

describe("a page reads what it shows and no more, however much there is", () => {
  const middle = () => ids[Math.floor(ids.length / 2)];
  const lists: [string, Partial<DeliveryPageFilters>][] = [
    ["of an organization", { organizationId }],
    ["of a webhook that gets everything", { webhookId: busyWebhookId, organizationId }],
    ["of a webhook that gets little", { webhookId: quietWebhookId, organizationId }],
    ["of all organizations", {}],
    ["of the exhausted deliveries of an organization", { organizationId, statuses: ["EXHAUSTED"] }],
    [
      "of the exhausted deliveries of a webhook",
      { webhookId: busyWebhookId, organizationId, statuses: ["EXHAUSTED", "CANCELLED"] },
    ],
    ["of the exhausted deliveries of all organizations", { statuses: ["EXHAUSTED"] }],
    ["of the scheduled deliveries of an organization", { organizationId, statuses: ["SCHEDULED"] }],
  ];

  // As autovacuum does.
  beforeAll(async () => {
    await database.sql.query({ name: "", text: "analyze" }, []);
  });

  it.each(lists)("the list %s", async (_name, given) => {
    for (const before of [undefined, middle()]) {
      const steps = await explain(filters(given), before);
      expect(steps.filter(({ type, rows }) => type === "Seq Scan" && rows > 0)).toEqual([]);
      // Where a list as a whole has a few hundred entries, the database may read and sort them all.
      expect(rowsRead(steps)).toBeLessThanOrEqual(10 * pageSize);
    }
  });

  it.each([
    ["an organization", { organizationId }],
    ["a webhook", { webhookId: busyWebhookId, organizationId }],
  ])("the list of %s with tens of thousands of deliveries sorts nothing, and reads a page", async (_name, given) => {
    for (const before of [undefined, middle()]) {
      const steps = await explain(filters(given), before);
      expect(steps.filter(({ type, isOfTable }) => type === "Sort" && isOfTable)).toEqual([]);
      expect(rowsRead(steps)).toBeLessThanOrEqual(2 * pageSize);
    }
  });

  it("the first page opens the newest partition alone", async () => {
    const nodes = await explain(filters({ organizationId, statuses: ["DELIVERED", "EXHAUSTED"] }), undefined);
    const opened = nodes.filter((node) => node.table !== undefined && node.rows > 0);
    expect(opened.map((node) => node.table)).toEqual(["delivery_20200106"]);
  });

  it("a time in a filter leaves out the partitions of other days altogether", async () => {
    const createdBefore = new Date(firstDay + dayMs);
    const nodes = await explain(filters({ organizationId, statuses: ["DELIVERED"], createdBefore }), undefined);
    expect(nodes.flatMap(({ table }) => table ?? [])).toEqual(["delivery_20200101"]);
  });
});

const pageSize = 51;

function filters(given: Partial<DeliveryPageFilters>): DeliveryPageFilters {
  const statuses: DeliveryStatus[] = [];
  return {
    organizationId: undefined,
    webhookId: undefined,
    webhookIds: undefined,
    eventType: "",
    events: undefined,
    createdAfter: undefined,
    createdBefore: undefined,
    statuses,
    ...given,
  };
}

/** Runs the statement of a page, and returns what its plan did. */
async function explain(given: DeliveryPageFilters, before: string | undefined): Promise<PlanStep[]> {
  const { statement, parameters } = deliveryPageStatement(given, { before, limit: pageSize })!;
  const text = `explain (analyze, format json) ${statement.text}`;
  return planSteps(await database.sql.query({ name: "", text }, parameters));
}

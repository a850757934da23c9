import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { type Condition, timePageStatement } from "../../src/usecases/page.ts";
import { encodePageToken } from "../../src/usecases/page-token.ts";
import { type PlanStep, planSteps, rowsRead } from "../store/explain.ts";
import { insertHistory } from "../store/history.ts";
import { withOwnDatabase } from "../support/own-database.ts";

const dayMs = 24 * 60 * 60_000;
const days = 5;
const firstDay = Date.UTC(2020, 0, 1);
const organizationId = randomUUID();
const filters = { list: "event" };

let database: Database;
withOwnDatabase({ maxConnections: 2 }, async (own) => {
  database = own;
  await ensurePartitions(database.sql, { now: firstDay, daysBefore: 0, daysAhead: days - 1 });
  for (let day = firstDay; day < firstDay + days * dayMs; day += dayMs) {
    await insertHistory(database.sql, { day, webhooks: 0, events: 3_000, organizationId });
    await insertHistory(database.sql, { day, webhooks: 0, events: 3_000 });
  }
  await database.sql.query({ name: "", text: "analyze" }, []);
});

const lists: [string, Condition[]][] = [
  ["of an organization", [["organization_id = ?", organizationId]]],
  ["of all organizations", []],
];

it.each(lists)(
  "a page of the events %s reads what it shows and no more, however much there is",
  async (_name, conditions) => {
    const middle = { id: randomUUID(), micros: (firstDay + 2.5 * dayMs) * 1000 };
    for (const pageToken of ["", encodePageToken(filters, middle)]) {
      const steps = await explain(conditions, pageToken);
      expect(steps.filter(({ type }) => type === "Sort" || type === "Seq Scan").filter(({ rows }) => rows > 0)).toEqual(
        [],
      );
      expect(rowsRead(steps)).toBeLessThanOrEqual(60);
      expect(
        new Set(steps.filter(({ table, rows }) => table !== undefined && rows > 0).map(({ table }) => table)).size,
      ).toBe(1);
    }
  },
);

async function explain(conditions: readonly Condition[], pageToken: string): Promise<PlanStep[]> {
  const request = { pageSize: 50, pageToken };
  const list = { table: "event", timeColumn: "received_at", conditions, filters, request };
  const [text, parameters] = timePageStatement(list);
  return planSteps(await database.em().execute(`explain (analyze, format json) ${text}`, parameters));
}

import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { claimOperationalEvents } from "../../src/store/sql/relay-operational-events.ts";
import type { Sql } from "../../src/store/sql.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { type ExplainedNode, planSteps, rowsRead } from "./explain.ts";

let database: Database;
withOwnDatabase({ maxConnections: 4 }, (own) => {
  database = own;
});

test("taking a batch of the operational events that wait costs the same, however many they are", async () => {
  const text = `
    insert into operational_event (id, organization_id, type, data_json, occurred_at)
    select gen_random_uuid(), $1::uuid, 'delivery.exhausted', '{}', now() - n * interval '1 millisecond'
    from generate_series(1, 200000) as n`;
  await database.sql.query({ name: "", text }, [randomUUID()]);
  await database.sql.query({ name: "", text: "analyze operational_event" }, []);
  let read = 0;
  const explaining = (sql: Sql): Sql => ({
    ...sql,
    async query<Row>(statement: { name: string; text: string }, parameters: readonly unknown[]) {
      if (statement.name !== "claim-operational-events") return await sql.query<Row>(statement, parameters);
      const explained = { name: "", text: `explain (analyze, format json) ${statement.text}` };
      const plan = await sql.query<{ "QUERY PLAN": [{ Plan: ExplainedNode }] }>(explained, parameters);
      read = rowsRead(planSteps(plan));
      return [] as Row[];
    },
    transaction: (work) => sql.transaction((transaction) => work(explaining(transaction))),
  });
  await claimOperationalEvents(explaining(database.sql), { limit: 200, claimMs: 30_000 });
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThanOrEqual(1_000);
});

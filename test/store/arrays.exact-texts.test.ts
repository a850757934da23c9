import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const url = "https://example.com/hook";
/** What an array literal would take for something else if it stood there without quotes, or quoted as JSON is. */
const odd = ["NULL", "null", " ", " p ", "", "a,b", 'c"d', "{e}", "f\\g", "h\n,i", "\tj", "späte 🐢"];

describe.each(["Postgres", "the embedded Postgres"])("on %s", (kind) => {
  let testDatabase: TestDatabase | undefined;
  let database: Database;

  beforeAll(async () => {
    testDatabase = kind === "Postgres" ? await createTestDatabase() : undefined;
    database = testDatabase
      ? await openTestPostgres(testDatabase.url, { maxConnections: 2 })
      : await openEmbedded(undefined);
    await database.migrate();
  });
  afterAll(async () => {
    await database.close();
    await testDatabase?.drop();
  });

  test("the projects of a webhook are stored as they are written, and are found by them", async () => {
    const organizationId = await addOrganization(database);
    const { webhook } = await addWebhook(database, organizationId, { url, projectIds: odd });
    const rows = await database.sql.query({ name: "", text: "select project_ids from webhook where id = $1" }, [
      webhook.id,
    ]);
    expect(rows).toEqual([{ project_ids: odd }]);
    expect((await database.em().findOneOrFail(WebhookEntity, webhook.id)).projectIds).toEqual(odd);
    for (const project of odd) {
      const found = await database.em().find(WebhookEntity, { organizationId, projectIds: { $contains: [project] } });
      expect(found.map(({ id }) => id)).toEqual([webhook.id]);
    }
    const trimmed = { organizationId, projectIds: { $contains: ["p"] } };
    expect(await database.em().find(WebhookEntity, trimmed)).toEqual([]);
  });
});

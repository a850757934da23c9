import { expect, it } from "vitest";
import { newUuid } from "../../src/domain/ids.ts";
import { scopes } from "../../src/domain/scope.ts";
import { ApiKeyEntity } from "../../src/store/entities/api-key.ts";
import { testIds } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";

it("a key from before scopes may do everything that there was to do, in every project", async () => {
  const testDatabase = await createTestDatabase();
  const database = await openTestPostgres(testDatabase.url, { maxConnections: 2 });
  const run = (text: string, parameters: unknown[] = []) => database.sql.query({ name: "", text }, parameters);
  // The tables as they were.
  await run("alter table api_key drop column scopes, drop column project_id, drop column last_used_at");
  await run("delete from tellwire_migrations where name = '2026-11-22b-key-access'");
  const organizationId = newUuid(testIds);
  const id = newUuid(testIds);
  await run("insert into organization (id, name, created_at, updated_at) values ($1, 'Acme', now(), now())", [
    organizationId,
  ]);
  await run(
    "insert into api_key (id, organization_id, name, prefix, hash, created_at) values ($1, $2, '', 'twk_', 'x', now())",
    [id, organizationId],
  );
  expect(await database.migrate()).toEqual(["2026-11-22b-key-access"]);
  const key = await database.em().findOneOrFail(ApiKeyEntity, { id });
  expect(key).toMatchObject({ scopes: [...scopes], projectId: null, lastUsedAt: null });
  // What is made from now on has to say what it may do.
  const withoutScopes = run(
    "insert into api_key (id, organization_id, name, prefix, hash, created_at) values ($1, $2, '', 'twk_', 'y', now())",
    [newUuid(testIds), organizationId],
  );
  await expect(withoutScopes).rejects.toThrow(/scopes/);
  await database.close();
  await testDatabase.drop();
});

import { expect, it } from "vitest";
import { openEmbedded } from "../../src/store/database.ts";
import { ApiKeyEntity } from "../../src/store/entities/api-key.ts";
import { createUseCases } from "../../src/usecases/use-cases.ts";
import { startApi } from "../api/start-api.ts";
import { operator, peer } from "../support/principals.ts";

it("keys are revoked, and their use is written down, on the embedded database too", async () => {
  const database = await openEmbedded(undefined);
  await database.migrate();
  const api = await startApi({ database });
  const { accessChannel, authenticate, keys, keyUsage, organizations } = api.useCases;
  await accessChannel.start();
  expect(accessChannel.isListening()).toBe(true);
  const { id: organizationId } = await organizations.create(operator, { name: "Acme" });
  const input = { organizationId, name: "", expiresAt: null, scopes: ["webhooks:read"] as const, projectId: "p" };
  const { apiKey, key } = await keys.create(operator, input);
  const credentials = { ...peer, keyText: key };
  expect(await authenticate(credentials)).toMatchObject({ projectId: "p", scopes: new Set(["webhooks:read"]) });
  await keyUsage.write();
  expect(await database.em().findOneOrFail(ApiKeyEntity, { id: apiKey.id })).toMatchObject({
    lastUsedAt: expect.any(Date),
  });
  // By other use cases, so that what follows is heard by way of the database.
  await createUseCases(api.dependencies).keys.revoke(operator, { organizationId, id: apiKey.id });
  await expect(authenticate(credentials)).rejects.toMatchObject({ reason: "KEY_INVALID" });
  await accessChannel.stop();
  await api.close();
  await database.close();
});

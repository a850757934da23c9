import { afterAll, beforeAll, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

let testDatabase: TestDatabase;
let processes: TellwireProcess[] = [];
let operator: RestClient;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  const settings = tellwireSettings({ TELLWIRE_DATABASE_URL: testDatabase.url });
  processes = [await startTellwire(settings), await startTellwire(settings)];
  operator = createRestClient(processes[0]!.httpUrl, settings.operatorKey);
});
afterAll(async () => {
  await Promise.all(processes.map((each) => each.stop()));
  await testDatabase.drop();
});

it("a key that is revoked by one process opens nothing in another, which has it in memory", async () => {
  const organization = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Acme" });
  const path = `/v1/organizations/${organization.id}/api-keys`;
  // On a busy machine the news may be on its way for so long that the time says nothing: then another key is looked at.
  await waitFor(async () => (await refusedAfterMs(path)) < rememberedMs, {
    what: "the other process to refuse a key before it would have read it again by itself",
  });
});

/** How long a process remembers a key that it has read. */
const rememberedMs = 5_000;

/** From the time at which the other process was asked to read a new key to the time at which it refuses it, because it was revoked. */
async function refusedAfterMs(path: string): Promise<number> {
  const [first, second] = processes as [TellwireProcess, TellwireProcess];
  const { apiKey, key } = await operator<{ apiKey: { id: string }; key: string }>("POST", path, { name: "shared" });
  const readFromMs = performance.now();
  expect(await Promise.all([statusAt(first, key), statusAt(second, key)])).toEqual([200, 200]);
  await operator("DELETE", `${path}/${apiKey.id}`);
  expect(await statusAt(first, key)).toBe(401);
  await waitFor(async () => (await statusAt(second, key)) === 401, { what: "the other process to refuse it" });
  return performance.now() - readFromMs;
}

async function statusAt({ httpUrl }: TellwireProcess, key: string): Promise<number> {
  const response = await fetch(`${httpUrl}/v1/webhooks`, { headers: { "x-api-key": key } });
  await response.arrayBuffer();
  return response.status;
}

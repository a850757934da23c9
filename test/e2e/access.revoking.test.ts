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
}, 60_000);
afterAll(async () => {
  await Promise.all(processes.map((each) => each.stop()));
  await testDatabase.drop();
});

it("a key that is revoked by one process opens nothing in another, which has it in memory", async () => {
  const organization = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Acme" });
  const path = `/v1/organizations/${organization.id}/api-keys`;
  const { apiKey, key } = await operator<{ apiKey: { id: string }; key: string }>("POST", path, { name: "shared" });
  const statusAt = async ({ httpUrl }: TellwireProcess): Promise<number> => {
    const response = await fetch(`${httpUrl}/v1/webhooks`, { headers: { "x-api-key": key } });
    await response.arrayBuffer();
    return response.status;
  };
  const [first, second] = processes as [TellwireProcess, TellwireProcess];
  expect(await Promise.all([statusAt(first), statusAt(second)])).toEqual([200, 200]);
  await operator("DELETE", `${path}/${apiKey.id}`);
  expect(await statusAt(first)).toBe(401);
  // Half of the time after which it would have read the key again by itself.
  await waitFor(async () => (await statusAt(second)) === 401, {
    timeoutMs: 2_500,
    what: "the other process to refuse it",
  });
});

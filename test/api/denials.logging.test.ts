import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

let database: TestDatabase;
let tellwire: TellwireProcess;
let operator: RestClient;
let organizationId: string;
let key: string;
let keyId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_DATABASE_URL: database.url }));
  operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  ({ id: organizationId } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Own" }));
  const path = `/v1/organizations/${organizationId}/api-keys`;
  const created = await operator<{ key: string; apiKey: { id: string } }>("POST", path, { name: "test" });
  key = created.key;
  keyId = created.apiKey.id;
});
afterAll(async () => {
  await tellwire?.stop();
  await database?.drop();
});

it("a call that is denied is in the log with who it was and from where, and in the audit log not at all", async () => {
  const before = await audited();
  const { id: otherId } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Other" });
  const actor = { kind: "API_KEY", id: keyId };

  await refused("POST", "/v1/organizations", { name: "Mine" });
  await logged({ msg: "a call was denied", reason: "OPERATOR_REQUIRED", actor, address: "127.0.0.1" });
  await refused("GET", `/v1/webhooks?organizationId=${otherId}`);
  await logged({ msg: "a call was denied", reason: "ORGANIZATION_NOT_FOUND", actor });
  await refused("GET", "/v1/webhooks", undefined, `twk_${randomUUID()}`);
  await logged({ msg: "a call was denied", reason: "KEY_INVALID", address: "127.0.0.1" });
  await refused("POST", `/apps/${randomUUID()}/webhooks`, { target_url: "https://example.com/" });
  await logged({ msg: "a request was refused", reason: "ORGANIZATION_NOT_FOUND", actor, address: "127.0.0.1" });

  const known = new Set(before.map(({ id }) => id));
  const added = (await audited()).filter(({ id }) => !known.has(id));
  expect(added.map(({ action }) => action)).toEqual(["organization.create"]);
  expect(tellwire.output()).not.toContain(key);
});

async function audited(): Promise<{ id: string; action: string }[]> {
  type Listed = { auditEntries: { id: string; action: string }[] };
  return (await operator<Listed>("GET", "/v1/audit-entries")).auditEntries;
}

async function refused(method: string, path: string, body?: unknown, withKey = key): Promise<void> {
  const response = await fetch(tellwire.httpUrl + path, {
    method,
    headers: { authorization: `Bearer ${withKey}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  await response.text();
  expect([401, 403, 404]).toContain(response.status);
}

async function logged(expected: { msg: string; reason: string; actor?: object; address?: string }): Promise<void> {
  const line = () =>
    tellwire
      .output()
      .split("\n")
      .map((text) => JSON.parse(text) as Record<string, unknown>)
      .findLast(({ msg, reason }) => msg === expected.msg && reason === expected.reason);
  await waitFor(() => line() !== undefined, { what: JSON.stringify(expected) });
  expect(line()).toMatchObject(expected);
  expect(line()?.requestId).toMatch(/^req_/);
}

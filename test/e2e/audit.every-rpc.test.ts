import type { DescMethodUnary, JsonValue } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { cases } from "./matrix-cases.ts";
import { contract } from "./matrix-contract.ts";
import { messageOf } from "./matrix-doors.ts";
import { writeRestRequest } from "./matrix-rest.ts";
import { createWorld, type World } from "./matrix-world.ts";

/** These change something, and leave no entry. Each needs its reason. */
const withoutEntry: Readonly<Record<string, string>> = {
  "EventService/PublishEvent": "the event itself is the record",
  "EventService/PublishEvents": "the events themselves are the record",
  "EventService/PublishEventStream": "the events themselves are the record",
};

/** Where the matrix asks for what has been done already, which changes nothing, something that changes. */
const instead: Readonly<Record<string, (world: World) => Promise<object>>> = {
  "DeliveryService/CancelRecovery": async ({ runningRecovery }) => ({ id: await runningRecovery() }),
};

const changing = [...contract].filter(
  ([, { idempotency }]) => idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS,
);
const recorded = changing.filter(([name]) => withoutEntry[name] === undefined) as [string, DescMethodUnary][];

const canaries = {
  header: "canary-of-a-header",
  payload: "canary-of-a-payload",
  secret: `whsec_${Buffer.from("canary-of-a-secret-32-bytes-long").toString("base64")}`,
  rotated: `whsec_${Buffer.from("canary-of-another-secret-of-32-b").toString("base64")}`,
};

interface Entry {
  action: string;
  resourceId: string;
  actor: { kind: string; id: string };
  origin?: { address?: string; userAgent?: string; requestId?: string };
}

let database: TestDatabase;
let tellwire: TellwireProcess;
let receiver: Receiver;
let world: World;
let operator: RestClient;
/** What every answer said, in which the keys and secrets are. */
const answers: string[] = [];

beforeAll(async () => {
  receiver = await startReceiver((request) =>
    request.method === "POST" ? { status: 200, body: "thanks" } : echoChallenge(request),
  );
  database = await createTestDatabase();
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_DATABASE_URL: database.url }));
  world = await createWorld(tellwire, receiver.url, () => {});
  operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
});
afterAll(async () => {
  await tellwire?.stop();
  await receiver?.close();
  await database?.drop();
});

test("what is said to leave no entry is a method that changes something, and every other one is a single call", () => {
  const names = changing.map(([name]) => name);
  expect(names).toEqual(expect.arrayContaining(Object.keys(withoutEntry)));
  expect(recorded.filter(([, { methodKind }]) => methodKind !== "unary")).toEqual([]);
  expect(recorded.length).toBeGreaterThan(15);
});

describe("every method that changes something leaves an entry, with who it was and from where", () => {
  test.each(recorded)("%s", async (name, method) => {
    const each = cases[name];
    if (each === undefined) throw new Error(`${name} has no case in matrix-cases.ts`);
    const fields = await (instead[name] ?? each.success)(world);
    const userAgent = `audit-walk ${name}`;
    const key = each.as === "operator" ? world.operatorKey : world.own.key;
    await call(method, fields, { key, userAgent });
    const { auditEntries } = await operator<{ auditEntries: Entry[] }>("GET", "/v1/audit-entries?pageSize=50");
    const entries = auditEntries.filter(({ origin }) => origin?.userAgent === userAgent);
    expect(entries).toEqual([
      expect.objectContaining({
        action: expect.stringMatching(/^[a-z_]+\.[a-z_]+$/),
        resourceId: expect.stringMatching(/^[a-z]+_[0-9a-z]{26}$/),
        actor: {
          kind: each.as === "operator" ? "AUDIT_ACTOR_KIND_OPERATOR_KEY" : "AUDIT_ACTOR_KIND_API_KEY",
          id: expect.stringMatching(/./),
        },
        origin: { address: "127.0.0.1", userAgent, requestId: expect.stringMatching(/^req_/) },
      }),
    ]);
  });
});

test("no entry holds a secret, a key, a payload or the value of a header", async () => {
  const own = createRestClient(tellwire.httpUrl, world.own.key);
  const data = { text: canaries.payload };
  const body = { url: receiver.url, eventTypes: ["canary"], headers: { "x-canary": canaries.header } };
  const verification = { method: "VERIFICATION_METHOD_VOUCHED" };
  const created = { ...body, verification, organizationId: world.own.id, signingSecret: canaries.secret };
  const { webhook } = await operator<{ webhook: { id: string } }>("POST", "/v1/webhooks", created);
  const path = `/v1/webhooks/${webhook.id}`;
  await own("PATCH", path, { headers: { "x-canary": `${canaries.header}, once more` } });
  await own("POST", `${path}:rotateSecret`, { signingSecret: canaries.rotated });
  await own("POST", `${path}:test`, { data });
  await own("POST", "/v1/events", { type: "canary", data });
  await own("DELETE", path);

  const log = await wholeLog();
  expect(log).toContain(webhook.id);
  expect(log).toContain("headers.x-canary");
  const shown = answers.join("\n").match(/(whsec_|twk_|twp_)[\w+/=.-]{20,}/g) ?? [];
  expect(shown.length).toBeGreaterThan(2);
  const secrets = [...Object.values(canaries), ...shown, world.operatorKey, world.own.key, world.other.key];
  for (const secret of secrets) expect(log).not.toContain(secret);
});

async function call(
  method: DescMethodUnary,
  fields: object,
  { key, userAgent }: { key: string; userAgent: string },
): Promise<JsonValue> {
  const { target, body, readAnswer, ...request } = writeRestRequest(method, messageOf(method, fields));
  const response = await fetch(tellwire.httpUrl + target, {
    ...request,
    headers: {
      authorization: `Bearer ${key}`,
      "user-agent": userAgent,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  expect(response.status, text).toBe(200);
  answers.push(text);
  return readAnswer(text);
}

/** Every entry, as its text. */
async function wholeLog(): Promise<string> {
  const pages: string[] = [];
  let pageToken = "";
  do {
    const page = await operator<{ auditEntries?: unknown[]; nextPageToken?: string }>(
      "GET",
      `/v1/audit-entries?pageSize=200&pageToken=${pageToken}`,
    );
    pages.push(JSON.stringify(page.auditEntries ?? []));
    pageToken = page.nextPageToken ?? "";
  } while (pageToken !== "");
  return pages.join("\n");
}

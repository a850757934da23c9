import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type Dialect, type DialectFailure, invalidField } from "../../src/dialects/dialect.ts";
import { createDialectHandler } from "../../src/dialects/dialect-handler.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import type { Database } from "../../src/store/database.ts";
import { createRunIdempotently } from "../../src/usecases/idempotency.ts";
import { testIds } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { noCallLimits, organizationPrincipal, peer } from "../support/principals.ts";

let testDatabase: TestDatabase;
let database: Database;
let server: Server;
let baseUrl: string;
let made: string[] = [];
const failures: DialectFailure[] = [];

/** A system that makes things: its answers have a secret, a number key and a header. */
const dialect: Dialect = {
  name: "things",
  claims: (path) => path.startsWith("/things"),
  keyOf: (header) => header("x-api-key"),
  routes: [
    {
      method: "POST",
      path: "/things/{name}",
      scope: "webhooks:write",
      idempotent: true,
      async handle({ params, body }) {
        if (body === null) throw invalidField("body", "must not be null");
        made.push(params.name ?? "");
        return { status: 201, headers: { location: "/here" }, body: { z: 1, 7: -0, secret: made.length, name: "é✓" } };
      },
    },
    {
      method: "PATCH",
      path: "/things/{name}",
      scope: "webhooks:write",
      handle: async () => ({ status: 200, body: { count: made.push("x") } }),
    },
    {
      method: "DELETE",
      path: "/things/{name}",
      scope: "webhooks:write",
      idempotent: true,
      handle: async () => ({ status: 204 }),
    },
  ],
  describe(failure) {
    failures.push(failure);
    return { status: failure.kind === "refused" ? 409 : 422, body: { failed: failure.kind } };
  },
};

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openTestPostgres(testDatabase.url, { maxConnections: 4 });
  const unexpected: unknown[] = [];
  const handle = createDialectHandler(dialect, {
    authenticate: async ({ keyText = "" }) => organizationPrincipal("o", { actor: { kind: "API_KEY", id: keyText } }),
    callLimits: noCallLimits,
    readPeer: () => peer,
    runIdempotently: createRunIdempotently({
      database,
      secretBox: createSecretBox({ keys: [randomBytes(32)] }),
      ids: testIds,
      log: { backgroundFailure: (_what, error) => void unexpected.push(error) },
    }),
    maxBodyBytes: 1_000,
    newRequestId: () => "req_1",
    onServerError: ({ error }) => void unexpected.push(error),
  });
  server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return () => expect(unexpected).toEqual([]);
});
beforeEach(() => {
  made = [];
  failures.length = 0;
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await database.close();
  await testDatabase.drop();
});

it("two identical requests at the same moment make one thing, and get the same bytes", async () => {
  const [one, other] = await Promise.all([send({ key: "k1" }), send({ key: "k1" })]);
  expect(made).toEqual(["a"]);
  expect(one).toMatchObject({ status: 201, text: '{"7":0,"z":1,"secret":1,"name":"é✓"}', location: "/here" });
  expect({ ...other, replayed: "" }).toEqual({ ...one, replayed: "" });
  expect([one.replayed, other.replayed].sort()).toEqual([null, "true"]);
});

it("another body or another path under a key is refused as a conflict", async () => {
  await send({ key: "k2" });
  expect(await send({ key: "k2", body: '{"b":1}' })).toMatchObject({ status: 409, text: '{"failed":"refused"}' });
  expect(await send({ key: "k2", path: "/things/b" })).toMatchObject({ status: 409 });
  expect(failures).toMatchObject([
    { kind: "refused", error: { reason: "IDEMPOTENCY_CONFLICT" } },
    { kind: "refused", error: { reason: "IDEMPOTENCY_CONFLICT" } },
  ]);
  expect(made).toEqual(["a"]);
});

it("another caller, and another route, have keys of their own", async () => {
  await send({ key: "k3" });
  expect(await send({ key: "k3", apiKey: "other" })).toMatchObject({ status: 201, replayed: null });
  expect(await send({ key: "k3", method: "DELETE" })).toEqual({
    status: 204,
    text: "",
    location: null,
    replayed: null,
  });
  expect(await send({ key: "k3", method: "DELETE" })).toMatchObject({ status: 204, text: "", replayed: "true" });
});

it("a request that failed keeps nothing", async () => {
  expect(await send({ key: "k4", body: "null" })).toMatchObject({ status: 422, replayed: null });
  expect(await send({ key: "k4" })).toMatchObject({ status: 201, replayed: null });
});

it("a text that is no key is refused by the name of its header", async () => {
  await send({ key: "a b" });
  await send({ key: "" });
  expect(failures).toMatchObject(
    [1, 2].map(() => ({ kind: "refused", error: { fieldViolations: [{ field: "idempotency-key" }] } })),
  );
});

it("a key counts for nothing on a route that is not idempotent, and a request without one is always carried out", async () => {
  expect((await send({ key: "k5", method: "PATCH" })).text).toBe('{"count":1}');
  expect((await send({ key: "k5", method: "PATCH" })).text).toBe('{"count":2}');
  await send({});
  await send({});
  expect(made).toHaveLength(4);
});

interface Sent {
  key?: string;
  body?: string;
  path?: string;
  method?: string;
  apiKey?: string;
}

async function send({ key, body = '{"a":1}', path = "/things/a", method = "POST", apiKey = "one" }: Sent) {
  const response = await fetch(`${baseUrl}${path}`, {
    method,
    headers: {
      connection: "close",
      "x-api-key": apiKey,
      "content-type": "application/json",
      ...(key === undefined ? {} : { "Idempotency-Key": key }),
    },
    body,
  });
  return {
    status: response.status,
    text: await response.text(),
    location: response.headers.get("location"),
    replayed: response.headers.get("idempotency-replayed"),
  };
}

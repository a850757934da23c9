import { afterAll, beforeAll, expect, it } from "vitest";
import type { Dialect } from "../../src/dialects/dialect.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { type ServedDialect, serveDialect } from "./serve-dialect.ts";

let failWith: unknown;
const dialect: Dialect = {
  name: "example",
  claims: (path) => path.startsWith("/example"),
  routes: [
    {
      method: "GET",
      path: "/example",
      scope: "webhooks:read",
      handle: ({ query }) =>
        failWith === undefined
          ? Promise.resolve({ status: 200, body: Object.fromEntries(query) })
          : Promise.reject(failWith),
    },
  ],
  keyOf: (header) => header("authorization")?.slice("Bearer ".length),
  describe: (failure) => ({
    status: failure.kind === "internal" ? 500 : 503,
    body: failure.kind === "refused" ? { reason: failure.error.reason, after: failure.error.retryAfterMs } : {},
  }),
};

let api: TestApi;
let served: ServedDialect;
let key: string;
beforeAll(async () => {
  api = await startApi();
  served = await serveDialect(api, dialect);
  ({ key } = await api.addOrganization());
});
afterAll(async () => {
  await served.close();
  await api.close();
});

it("a database that cannot be reached is a failure that passes, and is reported", async () => {
  failWith = new Error("wrapped", { cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }) });
  const { status, body } = await served.call("GET", "/example", { key });
  expect({ status, body }).toEqual({ status: 503, body: { reason: "DATABASE_UNAVAILABLE", after: 1_000 } });
  expect(served.failures.splice(0)).toMatchObject([{ method: "example GET /example", error: { message: "wrapped" } }]);
});

it("every other failure that is nobody's doing is internal, and is reported", async () => {
  failWith = new Error("inside");
  const { status, body } = await served.call("GET", "/example", { key });
  expect({ status, body }).toEqual({ status: 500, body: {} });
  expect(served.failures.splice(0)).toMatchObject([{ error: { message: "inside" } }]);
});

it("a query may hold question marks", async () => {
  failWith = undefined;
  expect((await served.call("GET", "/example?a=b?c&d=e", { key })).body).toEqual({ a: "b?c", d: "e" });
});

it("a path of somebody else is left alone", async () => {
  expect((await served.call("GET", "/other", { key })).status).toBe(421);
});

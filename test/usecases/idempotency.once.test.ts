import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import type { Database } from "../../src/store/database.ts";
import { claimKey } from "../../src/store/sql/idempotency-keys.ts";
import type { Dependencies } from "../../src/usecases/dependencies.ts";
import {
  createRunIdempotently,
  idempotencyScope,
  type RunIdempotently,
  requestFingerprint,
} from "../../src/usecases/idempotency.ts";
import { createIdempotencyCleaner } from "../../src/usecases/idempotency-cleaner.ts";
import { testIds } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { operator, organizationPrincipal } from "../support/principals.ts";
import { waitFor } from "../support/wait-for.ts";

const times = { kept: 24 * 60 * 60 * 1000, lease: 60_000, wait: 60_000 };
let testDatabase: TestDatabase;
/** Two processes on one database, with one clock. */
let databases: Database[];
let processes: RunIdempotently[];
let dependencies: Pick<Dependencies, "database" | "secretBox" | "ids" | "log">;
let aheadMs = 0;
const failures: unknown[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  databases = await Promise.all([1, 2].map(() => openTestPostgres(testDatabase.url, { maxConnections: 8 })));
  const shared = {
    secretBox: createSecretBox({ keys: [randomBytes(32)] }),
    ids: { ...testIds, now: () => Date.now() + aheadMs },
    log: { backgroundFailure: (_what: string, error: unknown) => void failures.push(error) },
  };
  processes = databases.map((database) => createRunIdempotently({ database, ...shared }, times));
  dependencies = { database: databases[0]!, ...shared };
});
afterAll(async () => {
  await Promise.all(databases.map((database) => database.close()));
  await testDatabase.drop();
  expect(failures).toEqual([]);
});

it("of many identical calls at the same moment in two processes, one does the work, and all get its bytes", async () => {
  const work = countedWork("the answer");
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => processes[index % 2]!(callWith("many"), work.run)),
  );
  expect(work.runs()).toBe(1);
  expect(new Set(answers.map(({ answer }) => Buffer.from(answer).toString()))).toEqual(new Set(["the answer"]));
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
});

it("the second call waits for the first, and no longer than is bearable", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const first = processes[0]!(callWith("slow"), async () => {
    started.resolve();
    await released;
    return Buffer.from("slow");
  });
  await started.promise;
  const impatient = createRunIdempotently(dependencies, { ...times, wait: 30 });
  await expect(impatient(callWith("slow"), countedWork("").run)).rejects.toMatchObject({
    reason: "IDEMPOTENCY_IN_PROGRESS",
    code: "ABORTED",
    retryAfterMs: 1_000,
  });
  const second = processes[1]!(callWith("slow"), countedWork("another").run);
  release();
  expect((await first).replayed).toBe(false);
  expect(await second).toEqual({ answer: Buffer.from("slow"), replayed: true });
});

it("another request under a key is refused, while the first is under way too, and other scopes have keys of their own", async () => {
  const other = { fingerprint: requestFingerprint("m", Buffer.from("other")) };
  const inside: unknown[] = [];
  await processes[0]!(callWith("taken"), async () => {
    inside.push(await processes[1]!({ ...callWith("taken"), ...other }, countedWork("").run).catch((error) => error));
    return Buffer.from("mine");
  });
  expect(inside).toMatchObject([{ reason: "IDEMPOTENCY_CONFLICT", code: "ALREADY_EXISTS" }]);
  await expect(processes[1]!({ ...callWith("taken"), ...other }, countedWork("").run)).rejects.toMatchObject({
    reason: "IDEMPOTENCY_CONFLICT",
  });
  const elsewhere = await processes[1]!(
    { ...callWith("taken"), ...other, scope: "key 2 m" },
    countedWork("theirs").run,
  );
  expect(elsewhere).toEqual({ answer: Buffer.from("theirs"), replayed: false });
});

it("a call that failed keeps nothing: with the same key it can be repeated, or mended", async () => {
  const failing = () => Promise.reject(new Error("no"));
  await expect(processes[0]!(callWith("failed"), failing)).rejects.toThrow("no");
  const mended = { ...callWith("failed"), fingerprint: requestFingerprint("m", Buffer.from("mended")) };
  expect((await processes[1]!(mended, countedWork("yes").run)).replayed).toBe(false);
});

it("whoever waits for a call that fails does the work", async () => {
  const started = Promise.withResolvers<void>();
  const { promise: failed, reject: fail } = Promise.withResolvers<Uint8Array>();
  const first = processes[0]!(callWith("passed-on"), () => {
    started.resolve();
    return failed;
  });
  await started.promise;
  const second = processes[1]!(callWith("passed-on"), countedWork("second").run);
  fail(new Error("no"));
  await expect(first).rejects.toThrow("no");
  expect(await second).toEqual({ answer: Buffer.from("second"), replayed: false });
});

it("the key of a process that died under way is free again when its lease has run out", async () => {
  const { database, ids, secretBox } = dependencies;
  const call = callWith("crashed");
  await claimKey(database.sql, call, {
    owner: "019a7b1e-0000-7000-8000-000000000001",
    fingerprint: secretBox.seal(call.fingerprint, `idempotency key\n${call.scope}\n${call.key}`),
    now: ids.now(),
    leaseExpiresAt: ids.now() + times.lease,
    expiresAt: ids.now() + times.kept,
  });
  const impatient = createRunIdempotently(dependencies, { ...times, wait: 30 });
  await expect(impatient(call, countedWork("").run)).rejects.toMatchObject({ reason: "IDEMPOTENCY_IN_PROGRESS" });
  aheadMs += times.lease + 1;
  expect(await impatient(call, countedWork("again").run)).toEqual({ answer: Buffer.from("again"), replayed: false });
});

it("work that takes longer than a lease keeps its key", async () => {
  const lease = 300;
  const { database, ids } = dependencies;
  const startedAt = ids.now();
  let nowMs = startedAt;
  // A process that stands still for a lease loses its key, rightly. So time only goes on when a lease has been renewed, and not beyond it.
  const query: typeof database.sql.query = async (statement, parameters) => {
    const rows = await database.sql.query<never>(statement, parameters);
    if (statement.name === "renew_idempotency_key") nowMs = Math.max(nowMs, Number(parameters.at(-1)) - lease + 100);
    return rows;
  };
  const onClock = {
    ...dependencies,
    database: { ...database, sql: { ...database.sql, query } },
    ids: { ...ids, now: () => nowMs },
  };
  const short = createRunIdempotently(onClock, { ...times, lease });
  const started = Promise.withResolvers<void>();
  const first = short(callWith("long"), async () => {
    started.resolve();
    await waitFor(() => nowMs - startedAt > 3 * lease, { what: "three leases to pass" });
    return Buffer.from("first");
  });
  await started.promise;
  const second = countedWork("second");
  expect((await short(callWith("long"), second.run)).replayed).toBe(true);
  expect([(await first).replayed, second.runs()]).toEqual([false, 0]);
});

it("an answer is kept for 24 hours, and then removed", async () => {
  const work = countedWork("kept");
  await processes[0]!(callWith("day"), work.run);
  aheadMs += times.kept - 600_000;
  expect((await processes[1]!(callWith("day"), work.run)).replayed).toBe(true);
  const cleaner = createIdempotencyCleaner(dependencies);
  await cleaner.clean();
  expect(await keyCount("day")).toBe(1);
  aheadMs += 600_001;
  expect((await processes[1]!(callWith("day"), work.run)).replayed).toBe(false);
  aheadMs += times.kept + 1;
  await cleaner.clean();
  expect(await databases[0]!.sql.query({ name: "", text: "select 1 from idempotency_key" }, [])).toEqual([]);
});

it("the table tells nothing of the request and nothing of the answer", async () => {
  const call = callWith("sealed");
  await processes[0]!(call, countedWork("whsec_shown_once").run);
  const [row] = await databases[0]!.sql.query<{ fingerprint: Buffer; answer: Buffer }>(
    { name: "", text: "select fingerprint, answer from idempotency_key where key = $1" },
    ["sealed"],
  );
  expect(row!.answer.toString("latin1")).not.toContain("whsec_shown_once");
  expect(row!.answer.toString("latin1")).not.toContain(Buffer.from("whsec_shown_once").toString("base64"));
  expect(row!.fingerprint.toString("latin1")).not.toContain(call.fingerprint);
  expect(row!.fingerprint.includes(Buffer.from(call.fingerprint, "hex"))).toBe(false);
});

it("a text that is no key is refused by the name of its header", async () => {
  for (const key of ["", "with space", "é", "a".repeat(256), "a\u0000"]) {
    await expect(processes[0]!({ ...callWith(""), key }, countedWork("").run)).rejects.toMatchObject({
      reason: "INVALID_FIELDS",
      fieldViolations: [{ field: "idempotency-key" }],
    });
  }
  const longest = { ...callWith(""), key: "~".repeat(255) };
  expect((await processes[0]!(longest, countedWork("").run)).replayed).toBe(false);
});

function callWith(key: string) {
  return { scope: "key 1 m", key, fingerprint: requestFingerprint("m", Buffer.from("body")) };
}

function countedWork(answer: string) {
  let runs = 0;
  return {
    runs: () => runs,
    run: async () => {
      runs += 1;
      await new Promise((resolve) => setImmediate(resolve));
      return Buffer.from(answer);
    },
  };
}

async function keyCount(key: string): Promise<number> {
  const rows = await databases[0]!.sql.query({ name: "", text: "select 1 from idempotency_key where key = $1" }, [key]);
  return rows.length;
}

it("one user of another issuer is somebody else in each organization, and somebody else again as an operator", () => {
  const actor = { kind: "EXTERNAL_TOKEN", id: "user-7" } as const;
  const one = "0196a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c";
  const other = "0196a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2d";
  const principals = [
    organizationPrincipal(one, { actor }),
    organizationPrincipal(other, { actor }),
    { ...operator, actor },
  ];
  expect(new Set(principals.map((principal) => idempotencyScope(principal, "a method"))).size).toBe(3);
});

import { createWriteStream } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodingMessage } from "../../src/api/decoding-message.ts";
import { messageWithoutValues } from "../../src/domain/message-without-values.ts";
import { TellwireError } from "../../src/errors.ts";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import { OrganizationEntity } from "../../src/store/entities/organization.ts";
import { describeError, loggedError } from "../../src/telemetry/logged-error.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

describe("errors of a database", () => {
  const opened: Database[] = [];
  let testDatabase: TestDatabase;
  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    const embedded = await openEmbedded(undefined);
    await embedded.migrate();
    opened.push(await openTestPostgres(testDatabase.url, { maxConnections: 1 }), embedded);
  });
  afterAll(async () => {
    for (const database of opened) await database.close();
    await testDatabase.drop();
  });

  it.each([0, 1])("tell what was broken and where, and nothing of the row or the parameters (%i)", async (index) => {
    const { sql, em } = opened[index]!;
    await sql.query({ name: "", text: "alter table organization add constraint short check (name <> 'canary')" }, []);
    const now = new Date();
    const row = { id: crypto.randomUUID(), name: "canary", projectIds: ["canary"], createdAt: now, updatedAt: now };
    const insert = "insert into organization (id, name, created_at, updated_at) values ($1, $2, now(), now())";
    const failures = [
      em().insert(OrganizationEntity, row),
      sql.query({ name: "", text: insert }, [crypto.randomUUID(), "canary"]),
      sql.query({ name: "", text: "select $1::uuid" }, ["canary"]),
      sql.query({ name: "", text: "select $1::json" }, ["{canary"]),
      em().execute("select 'canary'::int"),
    ];
    const described = (await Promise.allSettled(failures)).map((result) =>
      result.status === "rejected" ? loggedError(result.reason) : undefined,
    );
    expect(described).toMatchObject([
      { code: "23514", table: "organization", constraint: "short" },
      { code: "23514", table: "organization", constraint: "short" },
      { code: "22P02", message: "invalid input syntax for type uuid" },
      { code: "22P02", message: expect.stringMatching(/^invalid input syntax for type json/) },
      { code: "22P02" },
    ]);
    expect(JSON.stringify(described)).not.toContain("canary");
    expect(JSON.stringify(described)).toContain("logged-error.harmless");
  });
});

it("an error of the system keeps what it is about, and an error of ours its reason and its causes", async () => {
  const missing = await new Promise((resolve) => createWriteStream("/none/of/this").once("error", resolve));
  expect(loggedError(missing)).toMatchObject({ code: "ENOENT", syscall: "open" });
  const cause = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), {
    code: "ECONNREFUSED",
    port: 1,
    secret: "canary",
  });
  const ours = new TellwireError("DATABASE_UNAVAILABLE", "cannot connect", { cause });
  expect(loggedError(ours)).toMatchObject({
    type: "TellwireError",
    reason: "DATABASE_UNAVAILABLE",
    message: "cannot connect: connect ECONNREFUSED 127.0.0.1:1",
    stack: expect.stringMatching(
      /^TellwireError: cannot connect\n +at .*\n( +at .*\n)*caused by: Error: connect ECONNREFUSED/,
    ),
  });
  expect(JSON.stringify(loggedError(ours))).not.toContain("canary");
  expect(loggedError(new AggregateError([cause, cause]))).toMatchObject({
    aggregateErrors: [{ port: 1 }, { port: 1 }],
  });
});

it("an error that causes itself, and what is no error, are described too", () => {
  const circular = new Error("round");
  circular.cause = circular;
  expect(loggedError(circular)).toMatchObject({ message: "round" });
  expect(loggedError("a text")).toBe("a text");
  expect(describeError(undefined)).toBe("undefined");
});

describe("what a parser says of a text", () => {
  const texts = [
    "{canary}",
    '"canary',
    '{"a":"canary" "b"}',
    '["canary",]',
    "canary",
    '{"a":1}canary',
    '{"a":"canary\u0001"}',
    "",
  ];
  it.each(texts)("is told without the text: %s", (text) => {
    const error = thrownBy(() => JSON.parse(text));
    expect(messageWithoutValues(error)).not.toContain("canary");
    expect(messageWithoutValues(error)).toMatch(/JSON/);
    expect(decodingMessage(`cannot decode message a.B from JSON: ${(error as Error).message}`)).not.toContain("canary");
  });

  it.each([
    [
      'cannot decode field a.B.c from JSON: expected string, got "canary"',
      "cannot decode field a.B.c from JSON: expected string",
    ],
    [
      "cannot decode message a.B from JSON: expected object but got canary",
      "cannot decode message a.B from JSON: expected object",
    ],
    ['cannot decode message a.B from JSON: "canary"', "cannot decode message a.B from JSON: the value does not fit"],
    ['cannot decode message a.B from JSON "canary"', "cannot decode message a.B from JSON: the value does not fit"],
    [
      'cannot decode message a.B from JSON: key "c" is unknown',
      'cannot decode message a.B from JSON: key "c" is unknown',
    ],
    ["there is no webhook canary", "there is no webhook canary"],
  ])("%s", (message, shown) => {
    expect(decodingMessage(message)).toBe(shown);
  });
});

function thrownBy(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

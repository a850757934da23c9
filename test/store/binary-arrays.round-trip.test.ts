import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type BinaryArray,
  byteaArray,
  float8Array,
  int4Array,
  int8Array,
  textArray,
  timestamptzArray,
  uuidArray,
} from "../../src/store/binary-arrays.ts";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import { isAboutContent } from "../../src/store/is-about-content.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { run } from "./store-under-test.ts";

const runs = { numRuns: 60 };

describe.each(["a Postgres server", "the embedded database"])("%s reads back", (kind) => {
  let database: Database;
  let onServer: TestDatabase | undefined;

  beforeAll(async () => {
    onServer = kind === "a Postgres server" ? await createTestDatabase() : undefined;
    database = onServer ? await openTestPostgres(onServer.url, { maxConnections: 2 }) : await openEmbedded(undefined);
  });
  afterAll(async () => {
    await database.close();
    await onServer?.drop();
  });

  /** The elements in their order, as the expression writes them. */
  const readBack = async (type: string, array: BinaryArray, written: string) => {
    const text = `
      select e.value is null as "isNull", ${written} as value
      from unnest($1::${type}[]) with ordinality as e (value, place) order by e.place`;
    const rows = await run<{ isNull: boolean; value: unknown }>(database, text, [array]);
    return rows.map(({ isNull, value }) => (isNull ? null : value));
  };
  const itself = <Value>(value: Value): Value => value;
  const columnOf = <Value>(value: fc.Arbitrary<Value>) => fc.array(fc.option(value), { maxLength: 20 });

  test("uuids, in upper case too", async () => {
    await fc.assert(
      fc.asyncProperty(columnOf(fc.uuid()), async (values) => {
        expect(await readBack("uuid", uuidArray(values, itself), "e.value::text")).toEqual(values);
        const upper = uuidArray(values, (value) => value?.toUpperCase() ?? null);
        expect(await readBack("uuid", upper, "e.value::text")).toEqual(values);
      }),
      runs,
    );
  });

  test("texts: quotes, backslashes, braces, the word NULL, every letter, nothing at all", async () => {
    const ascii = fc.string({ unit: fc.constantFrom("a", '"', "\\", "{", "}", ",", " ", "\n", "'") });
    const words = fc.constantFrom("", "NULL", "null", '""', "\\x00", "é", "ÿ", "😀", "\u{10ffff}", "x".repeat(70_000));
    // Postgres has no U+0000 in texts.
    const unicode = fc.string({ unit: "binary" }).map((text) => text.replaceAll("\0", ""));
    for (const value of [ascii, fc.oneof(ascii, words, unicode)]) {
      await fc.assert(
        fc.asyncProperty(columnOf(value), async (values) => {
          expect(await readBack("text", textArray(values, itself), "e.value")).toEqual(values);
        }),
        runs,
      );
    }
  });

  test("a lone surrogate as the replacement letter, also where its other half begins the next text", async () => {
    const values = ["\ud83d", "\ude00", "a\ud83d", null, "\ude00b", "ok"];
    const expected = ["\ufffd", "\ufffd", "a\ufffd", null, "\ufffdb", "ok"];
    expect(await readBack("text", textArray(values, itself), "e.value")).toEqual(expected);
  });

  test("bytes, a megabyte of them too", async () => {
    const large = Buffer.alloc(1 << 20, "0123456789\\'\0");
    const value = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(large)));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(value), { maxLength: 4 }), async (values) => {
        const hashes = await readBack("bytea", byteaArray(values, itself), "encode(sha256(e.value), 'hex')");
        expect(hashes).toEqual(await Promise.all(values.map((bytes) => bytes && sha256(bytes))));
      }),
      runs,
    );
  });

  test("integers up to the edges of their types", async () => {
    await fc.assert(
      fc.asyncProperty(columnOf(fc.integer()), columnOf(fc.maxSafeInteger()), async (small, large) => {
        expect(await readBack("integer", int4Array(small, itself), "e.value::text")).toEqual(small.map(digits));
        expect(await readBack("bigint", int8Array(large, itself), "e.value::text")).toEqual(large.map(digits));
      }),
      runs,
    );
    const edges = [-(2 ** 31), 2 ** 31 - 1, 0, -1];
    expect(await readBack("integer", int4Array(edges, itself), "e.value::text")).toEqual(edges.map(digits));
    const far = [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 2 ** 32, -(2 ** 32), 2 ** 31, 0, -1];
    expect(await readBack("bigint", int8Array(far, itself), "e.value::text")).toEqual(far.map(digits));
  });

  test("every float", async () => {
    await fc.assert(
      fc.asyncProperty(columnOf(fc.double()), async (values) => {
        expect(await readBack("float8", float8Array(values, itself), "e.value")).toEqual(values);
      }),
      runs,
    );
  });

  test("times to the millisecond, before and after 2000, and the infinities", async () => {
    const year2000 = Date.UTC(2000);
    const edges = [0, -1, 1, year2000, year2000 - 1, year2000 + 1, Date.UTC(2300), Date.UTC(9999, 11, 31), 2 ** 41];
    const far = [8.64e15, 8.64e15 - 1, Date.UTC(-4000)];
    const time = fc.oneof(
      fc.constantFrom(...edges, ...far, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
      fc.integer({ min: Date.UTC(-4000), max: Date.UTC(9999) }),
    );
    await fc.assert(
      fc.asyncProperty(columnOf(time), async (values) => {
        const read = await readBack(
          "timestamptz",
          timestamptzArray(values, itself),
          "extract(epoch from e.value)::text",
        );
        expect(read.map((seconds) => seconds && Math.round(Number(seconds) * 1000))).toEqual(values.map(plusZero));
      }),
      runs,
    );
    // The fraction is cut off, as a Date does it.
    const fractions = timestamptzArray([1.9, -1.9, year2000 + 0.5, year2000 - 0.5], itself);
    const read = await readBack("timestamptz", fractions, "(extract(epoch from e.value) * 1000)::float8");
    expect(read).toEqual([1, -1, year2000, year2000 - 1]);
  });

  test("arrays without elements, as arrays of their type", async () => {
    const arrays = {
      uuid: uuidArray([], itself<string>),
      text: textArray([], itself<string>),
      bytea: byteaArray([], itself<Uint8Array>),
      integer: int4Array([], itself<number>),
      bigint: int8Array([], itself<number>),
      float8: float8Array([], itself<number>),
      timestamptz: timestamptzArray([], itself<number>),
    };
    for (const [type, array] of Object.entries(arrays)) {
      const text = `select cardinality($1::${type}[]) as count, $1::${type}[] = '{}' as "isEmpty"`;
      expect(await run(database, text, [array])).toEqual([{ count: 0, isEmpty: true }]);
    }
  });

  test("a column of nulls", async () => {
    const nulls = [null, null];
    expect(await readBack("uuid", uuidArray(nulls, itself), "e.value")).toEqual(nulls);
    expect(await readBack("text", textArray(nulls, itself), "e.value")).toEqual(nulls);
    expect(await readBack("timestamptz", timestamptzArray(nulls, itself), "e.value")).toEqual(nulls);
  });

  test("nothing where a text holds U+0000: it is refused for its content", async () => {
    for (const values of [["a", "b\0c"], ["é\0"], ["\0"]]) {
      const refusal = await readBack("text", textArray(values, itself), "e.value").catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: "22021" });
      expect(isAboutContent(refusal)).toBe(true);
    }
  });

  test("several arrays of one statement, each its own, however long statements wait for a connection", async () => {
    const statement = {
      name: "pairs",
      text: "select a.id, a.name, a.number from unnest($1::uuid[], $2::text[], $3::integer[]) as a (id, name, number)",
    };
    const pairs = (count: number) =>
      Array.from({ length: count }, (_, number) => ({ id: randomUUID(), name: `${count} ä ${number}`, number }));
    const batches = [3, 0, 700, 1, 50_000, 2, 40, 5].map(pairs);
    const read = await Promise.all(
      batches.map((rows) =>
        database.sql.query(statement, [
          uuidArray(rows, ({ id }) => id),
          textArray(rows, ({ name }) => name),
          int4Array(rows, ({ number }) => number),
        ]),
      ),
    );
    expect(read).toEqual(batches);
  });

  test("nothing where a value is none of its type: it is refused for its content, and the statement stays prepared", async () => {
    const uuid = randomUUID();
    const notUuids = ["", "x", uuid.slice(1), `${uuid}0`, uuid.replaceAll("-", "0"), uuid.replace(/^./, "g")];
    const looksLikeOne = [
      uuid.replace(/^./, "\x10"),
      uuid.replace(/^./, "İ"),
      uuid.replace(/.$/, "ÿ"),
      uuid.replace("-", "–"),
    ];
    const refused: Record<string, BinaryArray[]> = {
      uuid: [...notUuids, ...looksLikeOne].map((value) => uuidArray([uuid, value, uuid], itself)),
      integer: [2 ** 31, -(2 ** 31) - 1, 1.5, Number.NaN, Number.POSITIVE_INFINITY].map((value) =>
        int4Array([1, value], itself),
      ),
      bigint: [2 ** 53, 1.5, Number.NaN, Number.NEGATIVE_INFINITY].map((value) => int8Array([1, value, null], itself)),
      timestamptz: [Number.NaN, 8.64e15 + 1, -1e300].map((value) => timestamptzArray([value], itself)),
    };
    for (const [type, arrays] of Object.entries(refused)) {
      const statement = { name: `count-${type}`, text: `select cardinality($1::${type}[]) as count` };
      for (const array of arrays) {
        const refusal = await database.sql.query(statement, [array]).catch(itself);
        expect(refusal).toMatchObject({ code: "22P03" });
        expect(isAboutContent(refusal)).toBe(true);
        expect(await database.sql.query(statement, ["{}"])).toEqual([{ count: 0 }]);
      }
    }
  });

  test("nothing where a time is before Postgres' first: it is refused for its content", async () => {
    const refusal = await readBack("timestamptz", timestamptzArray([-8.64e15], itself), "e.value").catch(itself);
    expect(isAboutContent(refusal)).toBe(true);
  });
});

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
}

function digits(value: number | null): string | null {
  return value === null ? null : String(plusZero(value));
}

/** Integers and times have one zero. */
function plusZero<Value extends number | null>(value: Value): Value | 0 {
  return value === 0 ? 0 : value;
}

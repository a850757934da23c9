import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { untilAborted } from "../../../src/api/servers/until-aborted.ts";

test("items pass until the source ends, and its errors with them", async () => {
  const { signal } = new AbortController();
  expect(await collect(untilAborted(count(3), signal))).toEqual([1, 2, 3]);
  await expect(collect(untilAborted(failing(), signal))).rejects.toThrow("broken");
});

test("an abort ends the iteration while the next item is being waited for", async () => {
  const abort = new AbortController();
  const items = untilAborted(oneThenSilence(), abort.signal);
  expect(await items.next()).toEqual({ value: 1, done: false });
  const next = items.next();
  abort.abort();
  expect(await next).toEqual({ value: undefined, done: true });
});

test("a source that fails after the abort does no harm, and nothing is read once the signal has aborted", async () => {
  const abort = new AbortController();
  const fail = Promise.withResolvers<never>();
  const items = untilAborted({ [Symbol.asyncIterator]: () => ({ next: () => fail.promise }) }, abort.signal);
  const next = items.next();
  abort.abort();
  expect(await next).toMatchObject({ done: true });
  fail.reject(new Error("too late"));
  expect(await collect(untilAborted(count(3), abort.signal))).toEqual([]);
});

function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  return Readable.from(items).toArray();
}

async function* count(last: number): AsyncGenerator<number> {
  for (let each = 1; each <= last; each++) yield each;
}

async function* failing(): AsyncGenerator<number> {
  yield 1;
  throw new Error("broken");
}

async function* oneThenSilence(): AsyncGenerator<number> {
  yield 1;
  await new Promise(() => {});
}

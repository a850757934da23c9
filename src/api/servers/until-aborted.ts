/**
 * The items, up to the moment when the signal aborts; then the iteration ends as if there were no more, even while an item is being waited
 * for. Errors of the source are passed on.
 */
export async function* untilAborted<T>(
  items: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const iterator = items[Symbol.asyncIterator]();
  const { promise: aborted, resolve } = Promise.withResolvers<"aborted">();
  const onAbort = () => resolve("aborted");
  signal.addEventListener("abort", onAbort);
  try {
    while (!signal.aborted) {
      const next = iterator.next();
      // Where the signal comes first, nobody listens to this promise any more: its failure must not end the process.
      next.catch(() => undefined);
      const result = await Promise.race([next, aborted]);
      if (result === "aborted" || result.done === true) return;
      yield result.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Not awaited: a source that is waiting for its next item answers only then.
    void iterator.return?.().catch(() => undefined);
  }
}

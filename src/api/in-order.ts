/**
 * Runs `work` for each item as it comes, up to `window` of them at a time, and yields the results in the order of the items, each as soon as it
 * and those before it are there. Reads no further while the window is full. `work` must not reject.
 */
export async function* inOrder<Item, Result>(
  items: AsyncIterable<Item>,
  { window, work }: { window: number; work: (item: Item, index: number) => Promise<Result> },
): AsyncGenerator<Result> {
  const iterator = items[Symbol.asyncIterator]();
  const results: Promise<Result>[] = [];
  let count = 0;
  let reading: Promise<IteratorResult<Item>> | undefined = read(iterator);
  try {
    while (reading !== undefined || results.length > 0) {
      const next = await firstOf(results.length < window ? reading : undefined, results[0]);
      if (next.kind === "result") {
        results.shift();
        yield next.result;
      } else if (next.read.done) {
        reading = undefined;
      } else {
        results.push(work(next.read.value, count));
        count += 1;
        reading = read(iterator);
      }
    }
  } finally {
    // A caller that went away: nobody waits for the rest.
    if (reading !== undefined) await iterator.return?.();
  }
}

type Next<Item, Result> = { kind: "read"; read: IteratorResult<Item> } | { kind: "result"; result: Result };

/** Reading comes first where both are there, so that the window fills. */
function firstOf<Item, Result>(
  reading: Promise<IteratorResult<Item>> | undefined,
  head: Promise<Result> | undefined,
): Promise<Next<Item, Result>> {
  const candidates: Promise<Next<Item, Result>>[] = [];
  if (reading !== undefined) candidates.push(reading.then((read) => ({ kind: "read", read })));
  if (head !== undefined) candidates.push(head.then((result) => ({ kind: "result", result })));
  return Promise.race(candidates);
}

function read<Item>(iterator: AsyncIterator<Item>): Promise<IteratorResult<Item>> {
  const reading = iterator.next();
  // Whoever awaits it sees the failure; after the end nobody does, and the process must not die of it.
  reading.catch(() => {});
  return reading;
}

export interface GatheringOptions<Item> {
  /** Batches whose work has not said that the next one may begin. */
  maxAtOnce: number;
  maxBatch: number;
  /** Batches begin at least so far apart, as long as fewer than `enough` items wait. */
  paceMs: number;
  enough: number;
  /** Two items of one key are never in one batch. */
  keyOf: (item: Item) => string;
  /** Never rejects. Calls `onFree` when the next batch may begin, at the latest when it resolves. */
  work: (batch: readonly Item[], onFree: () => void) => Promise<void>;
}

/**
 * Takes items to be worked on. What comes alone is begun with at once; what comes right after a batch, or while as many as may are under way,
 * gathers for the next one. So batches grow with the load, and what a batch costs is shared by more.
 */
export function createGathering<Item>({ maxAtOnce, maxBatch, paceMs, enough, keyOf, work }: GatheringOptions<Item>) {
  let gathered: Item[] = [];
  let underWay = 0;
  let lastBegunAt = Number.NEGATIVE_INFINITY;
  let isPaced = false;

  /** The oldest, without those whose key is in the batch before them. */
  const takeBatch = (): Item[] => {
    const batch = new Map<string, Item>();
    const left: Item[] = [];
    for (const item of gathered) {
      const key = keyOf(item);
      if (batch.size < maxBatch && !batch.has(key)) batch.set(key, item);
      else left.push(item);
    }
    gathered = left;
    return [...batch.values()];
  };

  const beginNext = (): void => {
    while (gathered.length > 0 && underWay < maxAtOnce) {
      const waitMs = lastBegunAt + paceMs - performance.now();
      if (waitMs > 0 && gathered.length < enough) {
        if (!isPaced) setTimeout(onPace, waitMs);
        isPaced = true;
        return;
      }
      lastBegunAt = performance.now();
      underWay += 1;
      let isFree = false;
      const free = (): void => {
        if (isFree) return;
        isFree = true;
        underWay -= 1;
        beginNext();
      };
      void work(takeBatch(), free).then(free);
    }
  };

  const onPace = (): void => {
    isPaced = false;
    beginNext();
  };

  return (items: readonly Item[]): void => {
    gathered = gathered.length === 0 ? [...items] : gathered.concat(items);
    beginNext();
  };
}

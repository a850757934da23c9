/**
 * Answers many callers with few reads: each caller gets a read that began after the call, and reads begin at least `intervalMs` apart. So no
 * answer is older than its question, and none waits longer than the interval and two reads. Callers of one read share its failure too.
 */
export function createSharedRead<Value>(intervalMs: number, read: () => Promise<Value>): () => Promise<Value> {
  let next: Promise<Value> | undefined;
  let running: Promise<unknown> | undefined;
  let begunAt = Number.NEGATIVE_INFINITY;

  const begin = async (): Promise<Value> => {
    await running;
    const waitMs = begunAt + intervalMs - performance.now();
    if (waitMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    begunAt = performance.now();
    next = undefined;
    const reading = read();
    running = reading.catch(() => {});
    return await reading;
  };

  return () => {
    next ??= begin();
    return next;
  };
}

/** What has to be ended when the work is over. */
export interface Closing {
  /** To be called at the end, before everything that was added earlier. */
  add(close: () => Promise<unknown>): void;
  /** Ends everything, whatever fails on the way; failures are printed. May be called twice. */
  close(): Promise<void>;
}

/** Nothing to end yet. */
export function createClosing(): Closing {
  const parts: (() => Promise<unknown>)[] = [];
  let closing: Promise<void> | undefined;
  const closeAll = async (): Promise<void> => {
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      await part().catch((error) => console.error("could not end a part of the bench:", error));
    }
  };
  return {
    add: (close) => void parts.push(close),
    close() {
      closing ??= closeAll().finally(() => {
        closing = undefined;
      });
      return closing;
    },
  };
}

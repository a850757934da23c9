import type { Sql } from "../store/sql.ts";
import type { BrokerLog } from "./broker.ts";
import { acknowledgeMessages, giveBackMessages } from "./postgres-statements.ts";

/** Acknowledgements and messages that are given back, collected and written with two statements for all of them. */
export interface Settlements {
  acknowledge(sequence: number): void;
  /** `deliveryCount` is that of the delivery which is given back. */
  giveBack(sequence: number, deliveryCount: number, delayMs: number): void;
  /** Writes what waits, with one try, and takes nothing more. What cannot be written is delivered again. */
  close(): Promise<void>;
}

interface GivenBack {
  sequence: number;
  deliveryCount: number;
  /** On the clock of this process, so that a write which comes late does not lengthen the delay. */
  dueAt: number;
}

/** How long the first settlement waits for others. */
const collectMs = 3;
const maxWaiting = 500;
const firstRetryMs = 100;
const maxRetryMs = 5_000;

/** Writes again until the database takes it. `onGivenBack` is called when messages are there to be claimed again. */
export function createSettlements(sql: Sql, options: { log: BrokerLog; onGivenBack: () => void }): Settlements {
  let acknowledged: number[] = [];
  let givenBack: GivenBack[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;
  let retryMs = 0;

  const schedule = (): void => {
    if (closed || writing !== undefined) {
      return;
    }
    if (retryMs === 0 && acknowledged.length + givenBack.length >= maxWaiting) {
      start();
    } else {
      timer ??= setTimeout(start, Math.max(collectMs, retryMs));
    }
  };
  const start = (): void => {
    clearTimeout(timer);
    timer = undefined;
    writing = write().finally(() => {
      writing = undefined;
      if (acknowledged.length + givenBack.length > 0) {
        schedule();
      }
    });
  };
  const write = async (): Promise<void> => {
    const acknowledging = acknowledged;
    const giving = givenBack;
    acknowledged = [];
    givenBack = [];
    try {
      if (acknowledging.length > 0) {
        await sql.query(acknowledgeMessages, [acknowledging]);
      }
      if (giving.length > 0) {
        await sql.query(giveBackMessages, givenBackParameters(giving));
        options.onGivenBack();
      }
      retryMs = 0;
    } catch (error) {
      acknowledged = acknowledging.concat(acknowledged);
      givenBack = giving.concat(givenBack);
      retryMs = Math.min(maxRetryMs, retryMs === 0 ? firstRetryMs : retryMs * 2);
      options.log("warn", "acknowledgements could not be written; trying again", { error, retryMs });
    }
  };

  return {
    acknowledge(sequence) {
      if (!closed) {
        acknowledged.push(sequence);
        schedule();
      }
    },
    giveBack(sequence, deliveryCount, delayMs) {
      if (!closed) {
        givenBack.push({ sequence, deliveryCount, dueAt: performance.now() + Math.max(0, Math.ceil(delayMs)) });
        schedule();
      }
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      await writing;
      if (acknowledged.length + givenBack.length > 0) {
        await write();
      }
    },
  };
}

function givenBackParameters(given: readonly GivenBack[]): [number[], number[], number[]] {
  const now = performance.now();
  return [
    given.map(({ sequence }) => sequence),
    given.map(({ deliveryCount }) => deliveryCount),
    given.map(({ dueAt }) => Math.max(0, dueAt - now)),
  ];
}

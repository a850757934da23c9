import type { Sql } from "../store/sql.ts";
import type { BrokerLog } from "./broker.ts";
import { acknowledgeMessages, postponeMessages } from "./postgres-statements.ts";

/** Acknowledgements, and messages that are given back or still in work, collected and written with two statements for all of them. */
export interface Settlements {
  acknowledge(sequence: number): void;
  /** `deliveryCount` is that of the delivery which is given back. */
  giveBack(sequence: number, deliveryCount: number, delayMs: number): void;
  /** The message is still in work: nobody else gets it within the time. */
  postpone(sequence: number, deliveryCount: number, delayMs: number): void;
  /** Writes what waits, with one try, and takes nothing more. What cannot be written is delivered again. */
  close(): Promise<void>;
}

/** A message that becomes visible later: given back, or still in work. */
interface Postponed {
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
  /** By sequence: of a message that is postponed twice, the later word counts. */
  let postponed = new Map<number, Postponed>();
  let isGivenBack = false;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;
  let retryMs = 0;

  const schedule = (): void => {
    if (closed || writing !== undefined) {
      return;
    }
    if (retryMs === 0 && acknowledged.length + postponed.size >= maxWaiting) {
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
      if (acknowledged.length + postponed.size > 0) {
        schedule();
      }
    });
  };
  const write = async (): Promise<void> => {
    const acknowledging = acknowledged;
    const postponing = postponed;
    const giving = isGivenBack;
    acknowledged = [];
    postponed = new Map();
    isGivenBack = false;
    try {
      if (acknowledging.length > 0) {
        await sql.query(acknowledgeMessages, [acknowledging]);
      }
      if (postponing.size > 0) {
        await sql.query(postponeMessages, postponedParameters([...postponing.values()]));
      }
      if (giving) {
        options.onGivenBack();
      }
      retryMs = 0;
    } catch (error) {
      acknowledged = acknowledging.concat(acknowledged);
      postponed = new Map([...postponing, ...postponed]);
      isGivenBack ||= giving;
      retryMs = Math.min(maxRetryMs, retryMs === 0 ? firstRetryMs : retryMs * 2);
      options.log("warn", "acknowledgements could not be written; trying again", { error, retryMs });
    }
  };

  const postpone = (sequence: number, deliveryCount: number, delayMs: number): void => {
    if (!closed) {
      postponed.set(sequence, { sequence, deliveryCount, dueAt: performance.now() + Math.max(0, Math.ceil(delayMs)) });
      schedule();
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
      isGivenBack = true;
      postpone(sequence, deliveryCount, delayMs);
    },
    postpone,
    async close() {
      closed = true;
      clearTimeout(timer);
      await writing;
      if (acknowledged.length + postponed.size > 0) {
        await write();
      }
    },
  };
}

function postponedParameters(messages: readonly Postponed[]): [number[], number[], number[]] {
  const now = performance.now();
  return [
    messages.map(({ sequence }) => sequence),
    messages.map(({ deliveryCount }) => deliveryCount),
    messages.map(({ dueAt }) => Math.max(0, dueAt - now)),
  ];
}

import { LRUCache } from "lru-cache";
import {
  type CallRate,
  type CallStanding,
  callCostMs,
  callStanding,
  decideCall,
  type RateDecision,
} from "../domain/call-rate.ts";
import type { AccessChannel } from "./access-channel.ts";
import { createUsageSharing } from "./usage-sharing.ts";

/** How far callers are ahead of their rates, in this process and, after a moment, in all of them. */
export interface SharedRates {
  /** How a call would fare now; nothing is counted. */
  look(key: string, rate: CallRate): RateDecision;
  /** How things stand after what was counted. */
  standing(key: string, rate: CallRate): CallStanding;
  /** Counts a call that was admitted. */
  count(key: string, rate: CallRate): void;
  stop(): void;
}

export interface SharedRatesOptions {
  channel: Pick<AccessChannel, "publish" | "subscribe">;
  /** What kind of keys these are. */
  name: string;
  processId: string;
  /** How many callers are remembered: those that called last. */
  maxKeys: number;
  /** Milliseconds on a clock that is never set. */
  elapsed: () => number;
  onFailure: (error: unknown) => void;
}

/**
 * What travels between processes is time, by which the caller is ahead, so that each of them needs neither the other's clock nor its rates. A
 * process that nobody told of an amount below a sixteenth of the burst admits that much more at most.
 */
export function createSharedRates(options: SharedRatesOptions): SharedRates {
  const { elapsed } = options;
  /** When each caller is no longer ahead of its pace. */
  const evenAt = new LRUCache<string, number>({ max: options.maxKeys });
  const sharing = createUsageSharing({ ...options, onUsed: add });

  function debtMs(key: string): number {
    return Math.max(0, (evenAt.get(key) ?? 0) - elapsed());
  }

  function add(key: string, ms: number): void {
    evenAt.set(key, elapsed() + debtMs(key) + ms);
  }

  return {
    look: (key, rate) => decideCall(rate, debtMs(key)),
    standing: (key, rate) => callStanding(rate, debtMs(key)),
    count(key, rate) {
      const costMs = callCostMs(rate);
      add(key, costMs);
      sharing.add(key, costMs, (costMs * rate.burst) / silentShare);
    },
    stop: sharing.stop,
  };
}

const silentShare = 16;

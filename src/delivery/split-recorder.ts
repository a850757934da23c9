import { isDeliveredAtOnce } from "../store/sql/record-delivered.ts";
import type { Outcome, Recorder } from "./recorder.ts";

/**
 * Writes what arrived at once by one recorder, and everything else, which a transaction of a dozen statements takes, by another, whose batches may be
 * further apart. So one receiver in trouble adds a few transactions a second, and not one to each batch of all the others. What concerns one delivery is
 * written in the order in which it was recorded.
 */
export function createSplitRecorder({ atOnce, others }: { atOnce: Recorder; others: Recorder }): Recorder {
  /** How many outcomes of a delivery the others' recorder has not written: what follows goes behind them. */
  const waiting = new Map<string, number>();

  const recordBehind = (outcome: Outcome, onRecorded: (refusal?: unknown) => void): void => {
    const { id } = outcome.delivery;
    waiting.set(id, (waiting.get(id) ?? 0) + 1);
    others.record(outcome, (refusal) => {
      const left = (waiting.get(id) ?? 1) - 1;
      if (left > 0) waiting.set(id, left);
      else waiting.delete(id);
      onRecorded(refusal);
    });
  };

  return {
    record(outcome, onRecorded) {
      const { delivery, attempt } = outcome;
      const isAlone = attempt !== undefined && isDeliveredAtOnce({ delivery, attempt }) && !waiting.has(delivery.id);
      if (isAlone) atOnce.record(outcome, onRecorded);
      else recordBehind(outcome, onRecorded);
    },
    isFailing: () => atOnce.isFailing() || others.isFailing(),
    async flush(timeoutMs) {
      await Promise.all([atOnce.flush(timeoutMs), others.flush(timeoutMs)]);
    },
  };
}

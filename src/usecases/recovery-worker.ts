import { type BackgroundLoop, createBackgroundLoop } from "./background-loop.ts";
import type { Dependencies } from "./dependencies.ts";
import { stepRecovery } from "./recovery-step.ts";

/**
 * Carries out recoveries, a step at a time, those of all webhooks in turn. Every process does: what one leaves, by a stop or a crash, another
 * goes on with.
 */
export type RecoveryWorker = BackgroundLoop;

export function createRecoveryWorker({
  database: { sql },
  changes,
  ids,
  log,
}: Pick<Dependencies, "database" | "changes" | "ids" | "log">): RecoveryWorker {
  return createBackgroundLoop({
    what: "a step of a recovery",
    log,
    intervalMs: 1_000,
    async step() {
      const outcome = await stepRecovery(sql, ids.now());
      if (outcome === "moved" || outcome === "ended") changes.lanesDue();
      return outcome !== "idle";
    },
  });
}

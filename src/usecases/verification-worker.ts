import type { Statement } from "../store/sql.ts";
import type { Dependencies } from "./dependencies.ts";
import type { VerificationTarget, VerifyWebhook } from "./verify-webhook.ts";

/**
 * Makes the verifications that start by themselves. They are due in the database, so that one which a crash cut short is made up for, by
 * this process or by another.
 */
export interface VerificationWorker {
  start(): void;
  /** Looks at once for what is due. Does nothing while the worker is not running. */
  wake(): void;
  /** Starts nothing more, and waits for what is under way; after `graceMs` it is aborted, and made up for later. */
  stop(options: { graceMs: number }): Promise<void>;
}

export function createVerificationWorker(dependencies: Dependencies, verifyWebhook: VerifyWebhook): VerificationWorker {
  const { database, ids, log, verification } = dependencies;
  const underWay = new Set<Promise<void>>();
  const abort = new AbortController();
  let running = false;
  let claiming: Promise<void> | undefined;
  let claimAgain = false;
  /** There may be more due than there was room for. */
  let full = false;
  let timer: NodeJS.Timeout | undefined;

  async function claim(): Promise<void> {
    do {
      claimAgain = false;
      const room = verification.concurrency - underWay.size;
      full = room <= 0;
      if (full) return;
      const nowMs = ids.now();
      const leaseMs = verification.timeoutMs + leaseMarginMs;
      const claims = await database.sql.query<VerificationTarget>(claimStatement, [nowMs, nowMs + leaseMs, room]);
      for (const claimed of claims) verify(claimed);
      full = claims.length === room;
    } while (claimAgain && running);
  }

  function verify(claimed: VerificationTarget): void {
    const verifying = verifyWebhook
      .verifyClaimed(claimed, abort.signal)
      .catch((error: unknown) => {
        if (!abort.signal.aborted) log.backgroundFailure("the verification of a webhook", error);
      })
      .finally(() => {
        underWay.delete(verifying);
        if (full) wake();
      });
    underWay.add(verifying);
  }

  function wake(): void {
    if (!running) return;
    if (claiming !== undefined) {
      claimAgain = true;
      return;
    }
    clearTimeout(timer);
    claiming = claim()
      .catch((error: unknown) => log.backgroundFailure("looking for webhooks to verify", error))
      .finally(() => {
        claiming = undefined;
        if (running) timer = setTimeout(wake, verification.pollIntervalMs);
      });
  }

  return {
    start() {
      running = true;
      wake();
    },
    wake,
    async stop({ graceMs }) {
      running = false;
      clearTimeout(timer);
      const giveUp = setTimeout(() => abort.abort(), graceMs);
      await claiming;
      await Promise.all(underWay);
      clearTimeout(giveUp);
    },
  };
}

/** How long after the latest end of a verification somebody else makes it. */
const leaseMarginMs = 30_000;

/** Takes what is due, oldest first (index webhook_verification_due), and moves it ahead as a lease. No version: nothing changes for callers. */
const claimStatement: Statement = {
  name: "claim_verifications",
  text: `
    update webhook set verification_due_at = to_timestamp($2::double precision / 1000)
    where id in (
      select id from webhook where verification_due_at <= to_timestamp($1::double precision / 1000)
      order by verification_due_at limit $3 for update skip locked
    )
    returning id, url, verification_method as method, format`,
};

import type { Statement } from "../store/sql.ts";
import type { Dependencies } from "./dependencies.ts";
import type { VerificationTarget, VerifyWebhook } from "./verify-webhook.ts";

/**
 * Makes the verifications that start by themselves. They are due in the database, so that one which a crash cut short is made up for, by
 * this process or by another. One organization has no more than a part of them under way, so that its receivers, if they never answer, hold up
 * nobody else's.
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
  /** With the organization of each. */
  const underWay = new Map<Promise<void>, string>();
  const shareOfOne = Math.max(1, Math.floor(verification.concurrency / 4));
  const abort = new AbortController();
  let running = false;
  let claiming: Promise<void> | undefined;
  let claimAgain = false;
  /** There may be more due than there was room for, in all or for one organization. */
  let full = false;
  let timer: NodeJS.Timeout | undefined;

  async function claim(): Promise<void> {
    do {
      claimAgain = false;
      // A few at a time: those of one organization may all be due before anybody else's.
      for (let claimed = shareOfOne; running && claimed === shareOfOne && underWay.size < verification.concurrency; ) {
        claimed = await claimSome(Math.min(shareOfOne, verification.concurrency - underWay.size));
      }
      full = underWay.size >= verification.concurrency || busyOrganizations().length > 0;
    } while (claimAgain && running);
  }

  /** How many there were. */
  async function claimSome(atMost: number): Promise<number> {
    const nowMs = ids.now();
    const leaseMs = verification.timeoutMs + leaseMarginMs;
    const values = [nowMs, nowMs + leaseMs, atMost, busyOrganizations()];
    const claims = await database.sql.query<ClaimedVerification>(claimStatement, values);
    for (const claimed of claims) verify(claimed);
    return claims.length;
  }

  function busyOrganizations(): string[] {
    const counts = new Map<string, number>();
    for (const organizationId of underWay.values()) counts.set(organizationId, (counts.get(organizationId) ?? 0) + 1);
    return [...counts].filter(([, count]) => count >= shareOfOne).map(([organizationId]) => organizationId);
  }

  function verify(claimed: ClaimedVerification): void {
    const verifying = verifyWebhook
      .verifyClaimed(claimed, abort.signal)
      .catch((error: unknown) => {
        if (!abort.signal.aborted) log.backgroundFailure("the verification of a webhook", error);
      })
      .finally(() => {
        underWay.delete(verifying);
        if (full) wake();
      });
    underWay.set(verifying, claimed.organizationId);
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
      await Promise.all(underWay.keys());
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
      select id from webhook
      where verification_due_at <= to_timestamp($1::double precision / 1000) and organization_id <> all ($4::uuid[])
      order by verification_due_at limit $3 for update skip locked
    )
    returning id, organization_id as "organizationId", url, verification_method as method, format`,
};

interface ClaimedVerification extends VerificationTarget {
  organizationId: string;
}

import { LockMode } from "@mikro-orm/core";
import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import type { VerificationMethod } from "../domain/webhook.ts";
import { type VerificationOutcome, verifyByChallenge, verifyByCloudEvents } from "../outbound/verification.ts";
import { type Webhook, WebhookEntity } from "../store/entities/webhook.ts";
import { type Principal, requireOperator } from "./access.ts";
import { type AuditedCaller, type AuditTrail, systemCaller } from "./audit-trail.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { Transact } from "./changes.ts";
import type { Dependencies } from "./dependencies.ts";
import { requireOwnWebhook } from "./projects.ts";
import { verifiedActivation, wakeLane } from "./webhook-activation.ts";
import {
  findWebhook,
  type WebhookRecord,
  type WebhookTarget,
  webhookNotFound,
  webhookRecord,
} from "./webhook-record.ts";

/** What a verification found, and the webhook after it. */
export interface Verified {
  verified: boolean;
  /** Empty where verified. */
  failure: string;
  record: WebhookRecord;
}

export interface VerifyWebhook {
  /**
   * Asks the receiver now. A proof makes an UNVERIFIED webhook ACTIVE; a failure changes an ACTIVE one in nothing. A webhook whose method is
   * VOUCHED is vouched for again, which needs an operator.
   */
  verify(principal: Principal, target: WebhookTarget): Promise<Verified>;
  /** Does the same for a verification that the worker claimed. Nothing to do: the webhook changed or went away meanwhile. */
  verifyClaimed(claim: VerificationTarget, signal: AbortSignal): Promise<void>;
}

/** What is verified: the result counts only as long as the webhook has this URL and this method. */
export interface VerificationTarget {
  id: string;
  url: string;
  method: VerificationMethod;
  format: WebhookFormat;
}

export function createVerifyWebhook(
  dependencies: Dependencies,
  { transact, audit }: { transact: Transact; audit: AuditTrail },
): VerifyWebhook {
  const { database, ids } = dependencies;

  /** Resolves to undefined where the webhook is gone. */
  function record(
    by: AuditedCaller,
    target: VerificationTarget,
    outcome: VerificationOutcome,
  ): Promise<Verified | undefined> {
    return transact(async (em, marks) => {
      const webhook = await em.findOne(WebhookEntity, { id: target.id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
      if (webhook === null) return undefined;
      if (!isStill(webhook, target)) {
        return { verified: false, failure: changedMeanwhile, record: await webhookRecord(em, webhook) };
      }
      const wasUnverified = webhook.status === "UNVERIFIED";
      const was = auditedWebhook(webhook);
      applyOutcome(webhook, outcome, new Date(ids.now()));
      await em.flush();
      // What waits from before is sent; where the failure switched the webhook off, it is cancelled.
      if (wasUnverified && webhook.status !== "UNVERIFIED") await wakeLane(em, webhook.id, marks);
      marks.webhookChanged(webhook.organizationId);
      const failure = outcome.verified ? "" : outcome.failure;
      const after = { ...auditedWebhook(webhook), ...(outcome.verified ? {} : { failure }) };
      await audit.record(em, by, { ...aboutWebhook(webhook), action: "webhook.verify", before: was, after });
      return { verified: outcome.verified, failure, record: await webhookRecord(em, webhook) };
    });
  }

  return {
    async verify(principal, target) {
      const webhook = await findWebhook(database.em(), principal, target, { lock: false });
      requireOwnWebhook(principal, webhook);
      const { id, url, format, verificationMethod: method } = webhook;
      if (method === "VOUCHED") requireOperator(principal, "vouching for a receiver again");
      const asked = { id, url, method, format };
      const verified = await record(principal, asked, await askReceiver(dependencies, asked));
      if (verified === undefined) throw webhookNotFound(id);
      return verified;
    },

    async verifyClaimed(claim, signal) {
      await record(systemCaller("verification-worker"), claim, await askReceiver(dependencies, claim, signal));
    },
  };
}

const changedMeanwhile = "the webhook's URL or method was changed during the verification: verify it again";

async function askReceiver(
  { httpClient, ids, requestOrigin, verification }: Dependencies,
  { url, method, format }: VerificationTarget,
  signal?: AbortSignal,
): Promise<VerificationOutcome> {
  const { maxTimeoutMs, exactEcho: exact } = formatOf(format).verification;
  const timeoutMs = Math.min(verification.timeoutMs, maxTimeoutMs);
  switch (method) {
    case "CHALLENGE":
      return await verifyByChallenge({ url, timeoutMs, randomBytes: ids.randomBytes, exact, signal }, httpClient);
    case "CLOUDEVENTS":
      return await verifyByCloudEvents({ url, timeoutMs, origin: requestOrigin, signal }, httpClient);
    case "VOUCHED":
    case "NONE":
      return { verified: true };
  }
}

function isStill(webhook: Webhook, target: VerificationTarget): boolean {
  return webhook.url === target.url && webhook.verificationMethod === target.method;
}

function applyOutcome(webhook: Webhook, outcome: VerificationOutcome, now: Date): void {
  if (outcome.verified && webhook.status === "UNVERIFIED") {
    Object.assign(webhook, verifiedActivation(now), { updatedAt: now });
  } else if (outcome.verified) {
    Object.assign(webhook, { verifiedAt: now, updatedAt: now });
  } else if (webhook.status === "UNVERIFIED") {
    const status = formatOf(webhook.format).verification.afterFailure;
    Object.assign(webhook, { status, statusReason: outcome.failure, verificationDueAt: null, updatedAt: now });
  }
}

import { isDeepStrictEqual } from "node:util";
import type { SqlEntityManager } from "@mikro-orm/sql";
import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import { maskedHeaders, maskViolations, unmaskedHeaders } from "../domain/masked-headers.ts";
import type { SecretBox } from "../domain/secret-box.ts";
import type { SigningAlgorithm, SigningKey } from "../domain/signing-key.ts";
import { invalidFields } from "../errors.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import { WebhookSecretEntity } from "../store/entities/webhook-secret.ts";
import { type Principal, requireOperator } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { Transact } from "./changes.ts";
import type { Dependencies } from "./dependencies.ts";
import { endOrdering } from "./end-ordering.ts";
import type { Organizations } from "./organizations.ts";
import { ownProjects } from "./projects.ts";
import { secretsThatSign } from "./signing-keys.ts";
import { type ClearWaiting, dropWaiting, initialActivation, wakeLane } from "./webhook-activation.ts";
import {
  checkVerificationMethod,
  checkWebhookFields,
  nameTakenOr,
  type WebhookFields,
  webhookColumns,
  webhookFields,
} from "./webhook-fields.ts";
import { findWebhook, requireEtag, type WebhookRecord, type WebhookTarget, webhookRecord } from "./webhook-record.ts";

export interface WebhookChange extends WebhookTarget {
  /** The state that the caller knows; empty: whatever it is. */
  etag: string;
  /** The new values; what is left out stays. */
  patch: Partial<WebhookFields>;
  /** The algorithm that the caller takes the webhook to have; undefined: whichever. It is changed with the secret alone. */
  signingAlgorithm?: SigningAlgorithm | undefined;
}

/**
 * Changes a webhook. A new URL or verification method makes it UNVERIFIED and starts its verification; where an operator vouches for it,
 * it is ACTIVE, and where no proof was needed or is needed now, its status stays. Throws ETAG_MISMATCH, WEBHOOK_NAME_TAKEN, INVALID_FIELDS, PROJECT_NOT_FOUND, OPERATOR_REQUIRED.
 */
export type UpdateWebhook = (principal: Principal, change: WebhookChange) => Promise<WebhookRecord>;

export function createUpdateWebhook(
  { targetPolicy, secretBox, ids }: Dependencies,
  { organizations, transact, audit, clearWaiting, wakeVerification }: UpdateWebhookParts,
): UpdateWebhook {
  return async (principal, { patch: asked, etag, signingAlgorithm, ...target }) => {
    const patch =
      asked.projectIds === undefined ? asked : { ...asked, projectIds: ownProjects(principal, asked.projectIds) };
    try {
      if (patch.url !== undefined || patch.verificationMethod !== undefined) await clearWaiting(principal, target);
      const record = await transact(async (em, marks) => {
        const webhook = await findWebhook(em, principal, target, { lock: true });
        requireEtag(webhook, etag);
        checkAlgorithmStays(webhook, signingAlgorithm);
        const before = webhookFields(webhook);
        const changes = withStoredValues(patch, before);
        checkWebhookFields(principal, withoutKept(changes, before), targetPolicy);
        checkSecretsStayWithTheirReceiver(patch, before);
        const fields = { ...before, ...changes };
        const now = new Date(ids.now());
        await organizations.requireProjects(webhook.organizationId, patch.projectIds ?? [], em);
        checkVerificationMethod(fields);
        await checkFormat(em, secretBox, { id: webhook.id, before: before.format, after: fields.format, now });
        const was = auditedWebhook(webhook);
        const isNewTarget = fields.url !== before.url || fields.verificationMethod !== before.verificationMethod;
        if (isNewTarget && fields.verificationMethod === "VOUCHED") {
          // Else a customer could point a webhook that an operator vouched for at a receiver that agreed to nothing.
          requireOperator(principal, "changing the URL of a webhook that an operator vouched for");
        }
        Object.assign(webhook, webhookColumns(fields), { updatedAt: now });
        if (isNewTarget && !needsNoProof(before, fields)) await startAnew(em, webhook, now);
        await em.flush();
        if (isNewTarget && webhook.status === "ACTIVE") await wakeLane(em, webhook.id, marks);
        if (endsOrdering(before, fields)) await endOrdering(em, webhook.id, marks);
        const change = { action: "webhook.update", before: was, after: auditedWebhook(webhook) } as const;
        if (!isDeepStrictEqual(change.before, change.after)) {
          await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
        }
        marks.webhookChanged(webhook.organizationId);
        return await webhookRecord(em, webhook);
      });
      if (record.webhook.verificationDueAt) wakeVerification();
      return record;
    } catch (error) {
      throw nameTakenOr(error, patch.name);
    }
  };
}

export interface UpdateWebhookParts {
  organizations: Organizations;
  transact: Transact;
  audit: AuditTrail;
  clearWaiting: ClearWaiting;
  /** Starts what is due at once, instead of at the next look. */
  wakeVerification: () => void;
}

/** The new receiver owes its proof. What waited for a webhook that was switched off is not for it. */
async function startAnew(em: SqlEntityManager, webhook: Webhook, now: Date): Promise<void> {
  if (webhook.status === "DISABLED") await dropWaiting(em, webhook.id, now);
  Object.assign(webhook, initialActivation(webhook.verificationMethod, now));
}

function endsOrdering(before: WebhookFields, after: WebhookFields): boolean {
  return before.ordering === "BY_KEY" && after.ordering === "NONE";
}

/** A receiver that proved nothing before has nothing to prove at its new address: one that is switched off stays so. */
function needsNoProof(before: WebhookFields, after: WebhookFields): boolean {
  return before.verificationMethod === "NONE" && after.verificationMethod === "NONE";
}

function checkAlgorithmStays(webhook: Webhook, wanted: SigningAlgorithm | undefined): void {
  if (wanted === undefined || wanted === webhook.signingAlgorithm) return;
  const description =
    "cannot be changed by an update: use RotateWebhookSecret, which keeps the old secret valid for a while";
  throw invalidFields({ field: "webhook.signing_algorithm", description });
}

async function checkFormat(
  em: SqlEntityManager,
  secretBox: SecretBox,
  { id, before, after, now }: { id: string; before: WebhookFormat; after: WebhookFormat; now: Date },
): Promise<void> {
  if (before === after) return;
  checkSecretsStayHidden(before, after);
  await checkSecretsFit(em, secretBox, { id, format: after, now });
}

/** Else a secret that is shown once could be read again by way of another format. */
function checkSecretsStayHidden(before: WebhookFormat, after: WebhookFormat): void {
  if (formatOf(before).showsSecret || !formatOf(after).showsSecret) return;
  const description = `${after} shows a webhook's secret to its callers, and ${before} promised not to: create another webhook`;
  throw invalidFields({ field: "webhook.format", description });
}

/** A webhook keeps its secrets when its format changes: those that still sign have to be secrets of the new one too. */
async function checkSecretsFit(
  em: SqlEntityManager,
  secretBox: SecretBox,
  { id, format, now }: { id: string; format: WebhookFormat; now: Date },
): Promise<void> {
  for (const { sealed, publicKey } of await em.find(WebhookSecretEntity, secretsThatSign(id, now))) {
    const parsed = formatOf(format).parseSecret(secretBox.open(sealed, id));
    const reason = parsed.kind === "refused" ? parsed.reason : otherAlgorithm(parsed.key, publicKey ?? null);
    if (reason !== undefined) {
      const description = `the signing secret, which this format would sign with, ${reason}: rotate it first, or create another webhook`;
      throw invalidFields({ field: "webhook.format", description });
    }
  }
}

/** A private key's text is a text, which some formats would take for a secret that a receiver shares. */
function otherAlgorithm(key: SigningKey, publicKey: Uint8Array | null): string | undefined {
  const algorithm: SigningAlgorithm = publicKey === null ? "HMAC" : "ED25519";
  return key.algorithm === algorithm ? undefined : `is one for ${algorithm}`;
}

/** A header that is sent back as an answer showed it keeps its value. */
function withStoredValues(patch: Partial<WebhookFields>, before: WebhookFields): Partial<WebhookFields> {
  if (patch.headers === undefined) return patch;
  return { ...patch, headers: unmaskedHeaders(patch.headers, before.headers) };
}

/**
 * Throws INVALID_FIELDS where a secret that stands in a header would go to another host without being given anew: else who may change a webhook
 * could read, at a place of his own, what answers do not show him.
 */
function checkSecretsStayWithTheirReceiver(patch: Partial<WebhookFields>, before: WebhookFields): void {
  if (patch.url === undefined || new URL(patch.url).origin === new URL(before.url).origin) return;
  const description = "is kept for the host of the present URL: send its value again with the new URL, or leave it out";
  const violations = maskViolations(patch.headers ?? maskedHeaders(before.headers), {
    field: "webhook.headers",
    description,
  });
  if (violations.length > 0) throw invalidFields(...violations);
}

/** Sending back the method that a webhook has already is no act of vouching. */
function withoutKept(patch: Partial<WebhookFields>, before: WebhookFields): Partial<WebhookFields> {
  if (patch.verificationMethod !== before.verificationMethod) return patch;
  const { verificationMethod: _, ...rest } = patch;
  return rest;
}

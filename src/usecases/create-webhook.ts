import { newUuid } from "../domain/ids.ts";
import { WebhookEntity } from "../store/entities/webhook.ts";
import { newWebhookHealth, WebhookHealthEntity } from "../store/entities/webhook-health.ts";
import { WebhookSecretEntity } from "../store/entities/webhook-secret.ts";
import { type Principal, requiredOrganizationOf } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { Transact } from "./changes.ts";
import { checkAll } from "./check-all.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Organizations } from "./organizations.ts";
import { ownProjects } from "./projects.ts";
import type { Quotas } from "./quotas.ts";
import {
  checkSigningSecret,
  newSigningSecret,
  type ShownSecret,
  shownSecret,
  type WantedSigningSecret,
} from "./signing-secret-fields.ts";
import { disabledActivation, initialActivation } from "./webhook-activation.ts";
import {
  checkVerificationMethod,
  checkWebhookFields,
  nameTakenOr,
  type WebhookFields,
  webhookColumns,
} from "./webhook-fields.ts";
import { type WebhookRecord, webhookRecord } from "./webhook-record.ts";

export interface NewWebhook extends WebhookFields, WantedSigningSecret {
  organizationId: string | undefined;
  /** Why it starts DISABLED; left out: it does not. */
  disabledReason?: string;
}

/**
 * Creates a webhook. It starts UNVERIFIED, and its verification begins by itself without being waited for; one that an operator vouches for,
 * or that needs no proof, starts ACTIVE. With a `disabledReason` it starts DISABLED. The answer is the only one with the secret. Throws
 * QUOTA_EXCEEDED where the organization has as many as it may.
 */
export type CreateWebhook = (
  principal: Principal,
  input: NewWebhook,
) => Promise<ShownSecret & { record: WebhookRecord }>;

export function createCreateWebhook(
  { secretBox, targetPolicy, ids }: Dependencies,
  { organizations, quotas, transact, audit, wakeVerification }: CreateWebhookParts,
): CreateWebhook {
  return async (principal, { organizationId: requested, disabledReason, ...wanted }) => {
    const { signingSecret, signingAlgorithm, ...asked } = wanted;
    const fields = { ...asked, projectIds: ownProjects(principal, asked.projectIds) };
    const organizationId = requiredOrganizationOf(principal, requested, "webhook.organization_id");
    await organizations.require(organizationId);
    await organizations.requireProjects(organizationId, fields.projectIds);
    checkAll(
      () => checkWebhookFields(principal, fields, targetPolicy),
      () => checkVerificationMethod(fields),
      () => checkSigningSecret(fields.format, wanted, "webhook."),
    );
    const secret = newSigningSecret(fields.format, wanted, ids.randomBytes);

    const requireRoom = await quotas.of(organizationId, "webhooks");
    const id = newUuid(ids);
    const now = new Date(ids.now());
    try {
      const record = await transact(async (em, marks) => {
        await requireRoom(em);
        const webhook = em.create(WebhookEntity, {
          id,
          organizationId,
          ...webhookColumns(fields),
          signingAlgorithm: secret.algorithm,
          ...(disabledReason === undefined
            ? initialActivation(fields.verificationMethod, now)
            : disabledActivation(disabledReason)),
          version: 1,
          createdAt: now,
          updatedAt: now,
        });
        await em.flush();
        em.create(WebhookSecretEntity, {
          id: newUuid(ids),
          webhookId: id,
          sealed: secretBox.seal(secret.text, id),
          publicKey: secret.publicKey,
          createdAt: now,
          expiresAt: null,
        });
        em.create(WebhookHealthEntity, newWebhookHealth(id));
        const change = { action: "webhook.create", before: null, after: auditedWebhook(webhook) } as const;
        await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
        marks.webhookChanged(organizationId);
        return await webhookRecord(em, webhook);
      });
      if (record.webhook.verificationDueAt) wakeVerification();
      return { record, ...shownSecret(secret) };
    } catch (error) {
      throw nameTakenOr(error, fields.name);
    }
  };
}

export interface CreateWebhookParts {
  organizations: Organizations;
  quotas: Quotas;
  transact: Transact;
  audit: AuditTrail;
  /** Starts what is due at once, instead of at the next look. */
  wakeVerification: () => void;
}

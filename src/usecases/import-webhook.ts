import { isDeepStrictEqual } from "node:util";
import { LockMode, UniqueConstraintViolationException } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/sql";
import { publicId } from "../domain/ids.ts";
import { collectsEvents } from "../domain/webhook.ts";
import { TellwireError } from "../errors.ts";
import { type Webhook, WebhookEntity } from "../store/entities/webhook.ts";
import { newWebhookHealth, WebhookHealthEntity } from "../store/entities/webhook-health.ts";
import { type Principal, requireOperator } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { ChangeMarks, Transact } from "./changes.ts";
import type { Dependencies } from "./dependencies.ts";
import { endOrdering } from "./end-ordering.ts";
import { hasSecrets, writeSecrets } from "./imported-secrets.ts";
import { checkImportedWebhook, type ImportedWebhook } from "./imported-webhook.ts";
import type { Organizations } from "./organizations.ts";
import type { Quotas } from "./quotas.ts";
import { givenSigningSecret } from "./signing-secret-fields.ts";
import { wakeLane } from "./webhook-activation.ts";
import { nameTakenOr, webhookColumns } from "./webhook-fields.ts";

export type ImportOutcome = "IMPORTED" | "UNCHANGED" | "UPDATED";

/**
 * Takes over a webhook of another system as it is: id, secrets, status and times included. One that is here already is made as the import has
 * it; its health stays, because by then it may tell of deliveries made here. What is ACTIVE is not verified; the verification of what is
 * UNVERIFIED starts. With `validateOnly` nothing is changed. Throws OPERATOR_REQUIRED, INVALID_FIELDS naming every bad field,
 * ORGANIZATION_NOT_FOUND, PROJECT_NOT_FOUND, WEBHOOK_NAME_TAKEN, WEBHOOK_ID_TAKEN where the id belongs to another organization, and
 * WEBHOOK_CHANGED_HERE where the webhook was changed here later than the import says. Throws QUOTA_EXCEEDED where it is a new one, and the
 * organization has as many as it may.
 */
export type ImportWebhook = (
  principal: Principal,
  imported: ImportedWebhook,
  options: { validateOnly: boolean },
) => Promise<ImportOutcome>;

export function createImportWebhook(dependencies: Dependencies, parts: ImportWebhookParts): ImportWebhook {
  const { targetPolicy } = dependencies;
  const { organizations, quotas, transact, audit, wakeVerification } = parts;
  const now = (): Date => new Date(dependencies.ids.now());

  async function importOnce(
    principal: Principal,
    imported: ImportedWebhook,
    validateOnly: boolean,
  ): Promise<ImportOutcome> {
    const requireRoom = await quotas.of(imported.organizationId, "webhooks");
    try {
      return await transact(async (em, marks) => {
        const existing = await em.findOne(WebhookEntity, { id: imported.id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
        const context = { em, marks, imported, now: now(), dependencies, principal, audit };
        if (existing === null) await requireRoom(em);
        const outcome = existing === null ? await insert(context) : await update(context, existing);
        if (validateOnly) throw new RolledBack(outcome);
        return outcome;
      });
    } catch (error) {
      if (error instanceof RolledBack) return error.outcome;
      throw nameTakenOr(error, imported.name);
    }
  }

  return async (principal, imported, { validateOnly }) => {
    requireOperator(principal, "importing a webhook");
    checkImportedWebhook(principal, imported, targetPolicy);
    await organizations.require(imported.organizationId);
    await organizations.requireProjects(imported.organizationId, imported.projectIds);
    const outcome = await importOnce(principal, imported, validateOnly).catch((error: unknown) => {
      // Another import inserted the same id at the same moment: now it is there.
      if (error instanceof UniqueConstraintViolationException) return importOnce(principal, imported, validateOnly);
      throw error;
    });
    if (imported.status === "UNVERIFIED" && outcome !== "UNCHANGED" && !validateOnly) wakeVerification();
    return outcome;
  };
}

export interface ImportWebhookParts {
  organizations: Organizations;
  quotas: Quotas;
  transact: Transact;
  audit: AuditTrail;
  /** Starts what is due at once, instead of at the next look. */
  wakeVerification: () => void;
}

interface ImportContext {
  em: SqlEntityManager;
  marks: ChangeMarks;
  imported: ImportedWebhook;
  now: Date;
  dependencies: Dependencies;
  principal: Principal;
  audit: AuditTrail;
}

/** Ends a transaction that is only to say what it would have done. */
class RolledBack extends Error {
  readonly outcome: ImportOutcome;

  constructor(outcome: ImportOutcome) {
    super("rolled back on purpose");
    this.outcome = outcome;
  }
}

async function insert(context: ImportContext): Promise<ImportOutcome> {
  const { em, marks, imported, now, dependencies, principal, audit } = context;
  const { id, organizationId, health } = imported;
  const webhook = em.create(WebhookEntity, {
    id,
    organizationId,
    ...columnsOf(imported, { createdAt: now, updatedAt: now }),
    ...activation(imported, now, null),
    version: 1,
  });
  await em.flush();
  writeSecrets(em, imported, { now, ...dependencies });
  em.create(WebhookHealthEntity, { ...newWebhookHealth(id), ...health });
  await em.flush();
  const change = { action: "webhook.import", before: null, after: auditedWebhook(webhook) } as const;
  await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
  marks.webhookChanged(organizationId);
  return "IMPORTED";
}

async function update(context: ImportContext, existing: Webhook): Promise<ImportOutcome> {
  const { em, marks, imported, now, dependencies, principal, audit } = context;
  if (existing.organizationId !== imported.organizationId) throw idTaken(imported.id);
  const wanted = columnsOf(imported, existing);
  const keepsSecrets = await hasSecrets(em, imported, { now, ...dependencies });
  if (keepsSecrets && isDeepStrictEqual(columnsHere(existing, wanted), { ...wanted, updatedAt: existing.updatedAt })) {
    if (wanted.updatedAt <= existing.updatedAt) return "UNCHANGED";
  } else if (imported.updatedAt !== null && imported.updatedAt < existing.updatedAt) {
    throw changedHere(existing);
  }
  const wasCollecting = collectsEvents(existing.status);
  const was = auditedWebhook(existing);
  const wasOrdered = existing.ordering === "BY_KEY";
  Object.assign(existing, wanted, activation(imported, now, wasCollecting ? (existing.activeSince ?? null) : null), {
    updatedAt: imported.updatedAt ?? now,
  });
  if (!keepsSecrets) {
    await em.execute("delete from webhook_secret where webhook_id = ?", [imported.id]);
    writeSecrets(em, imported, { now, ...dependencies });
  }
  await em.flush();
  // What waits starts, rests or is cancelled, as the status now asks for.
  await wakeLane(em, imported.id, marks);
  if (wasOrdered && existing.ordering === "NONE") await endOrdering(em, imported.id, marks);
  const after = { ...auditedWebhook(existing), ...(keepsSecrets ? {} : { replacesSecrets: true }) };
  await audit.record(em, principal, { ...aboutWebhook(existing), action: "webhook.import", before: was, after });
  marks.webhookChanged(imported.organizationId);
  return "UPDATED";
}

/** What an import says of the columns; `times` stand for those that it leaves out. */
function columnsOf(imported: ImportedWebhook, times: { createdAt: Date; updatedAt: Date }) {
  const { id, organizationId, signingSecret, signingAlgorithm, previousSecrets, health, ...rest } = imported;
  const { status, statusReason, verifiedAt, createdAt, updatedAt, ...fields } = rest;
  return {
    ...webhookColumns(fields),
    signingAlgorithm: givenSigningSecret(imported.format, signingSecret).algorithm,
    status,
    statusReason,
    verifiedAt,
    createdAt: createdAt ?? times.createdAt,
    updatedAt: updatedAt ?? times.updatedAt,
  };
}

/** The same columns as they stand here. */
function columnsHere(existing: Webhook, wanted: ReturnType<typeof columnsOf>): Record<string, unknown> {
  const names = Object.keys(wanted) as (keyof typeof wanted)[];
  return Object.fromEntries(names.map((name) => [name, existing[name] ?? null]));
}

/** Events are for the webhook from now on, or from when it began to collect them here. */
function activation({ status }: ImportedWebhook, now: Date, activeSince: Date | null) {
  return {
    verificationDueAt: status === "UNVERIFIED" ? now : null,
    activeSince: collectsEvents(status) ? (activeSince ?? now) : null,
  };
}

function idTaken(id: string): TellwireError {
  const webhookId = publicId("webhook", id);
  return new TellwireError("WEBHOOK_ID_TAKEN", `the webhook ${webhookId} belongs to another organization`, {
    metadata: { webhook_id: webhookId },
  });
}

function changedHere({ id, updatedAt }: Webhook): TellwireError {
  return new TellwireError(
    "WEBHOOK_CHANGED_HERE",
    `the webhook was changed here at ${updatedAt.toISOString()}, which is later than the import's update_time, and stays as it is`,
    { metadata: { webhook_id: publicId("webhook", id), update_time: updatedAt.toISOString() } },
  );
}

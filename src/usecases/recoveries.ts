import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/sql";
import { newUuid, publicId } from "../domain/ids.ts";
import type { RecoveryScope, RecoveryStatus } from "../domain/recovery.ts";
import { invalidFields, TellwireError } from "../errors.ts";
import { type Recovery, RecoveryEntity } from "../store/entities/recovery.ts";
import type { Sql } from "../store/sql.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import { organizationOf, type Principal } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutRecovery, auditedRecovery } from "./audited-states.ts";
import type { Transact } from "./changes.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Organizations } from "./organizations.ts";
import { type Page, type PageRequest, pageById, pageSizeOf } from "./page.ts";
import { decodePageToken } from "./page-token.ts";
import { requireForShared, standingOf, visibleWebhookIds } from "./projects.ts";
import { requireActive } from "./require-active.ts";
import { findWebhook, type WebhookTarget } from "./webhook-record.ts";

/** A recovery as it is stored. */
export type RecoveryRecord = Recovery;

/** Which recovery a call is about: UUIDs. */
export interface RecoveryTarget {
  id: string;
  organizationId: string | undefined;
}

export interface NewRecovery extends WebhookTarget {
  scope: RecoveryScope;
  /** Events received at this time or later. */
  since: Date;
  /** Events received before this time; undefined, or later than now: now. */
  until: Date | undefined;
}

export interface RecoveryFilters {
  organizationId: string | undefined;
  webhookId: string | undefined;
  /** Empty: all. */
  statuses: readonly RecoveryStatus[];
}

/** Jobs that send again what failed, or what was never sent, to one webhook. */
export interface Recoveries {
  /**
   * Starts one; the worker carries it out. Throws WEBHOOK_NOT_FOUND, WEBHOOK_NOT_ACTIVE, INVALID_FIELDS naming `since_time`, and RECOVERY_RUNNING
   * where one of the webhook with the same scope is under way.
   */
  start(principal: Principal, input: NewRecovery): Promise<RecoveryRecord>;
  /** Throws RECOVERY_NOT_FOUND. */
  get(principal: Principal, target: RecoveryTarget): Promise<RecoveryRecord>;
  /** Newest first. */
  list(principal: Principal, filters: RecoveryFilters, request: PageRequest): Promise<Page<RecoveryRecord>>;
  /** Ends one between two steps. One that is CANCELLED already stays so; any other that has ended throws RECOVERY_NOT_RUNNING. */
  cancel(principal: Principal, target: RecoveryTarget): Promise<RecoveryRecord>;
}

export function createRecoveries({ database, ids }: Dependencies, parts: RecoveriesParts): Recoveries {
  const { organizations, transact, audit, wakeRecovery } = parts;
  return {
    async start(principal, { scope, since, until: given, ...target }) {
      const started = await transact(async (em) => {
        // The webhook's row stays locked, so that of two calls at once the second finds what the first began.
        const webhook = await findWebhook(em, principal, target, { lock: true });
        requireActive(webhook);
        const now = new Date(ids.now());
        const until = given === undefined || given > now ? now : given;
        if (since >= until) throw sinceTooLate(until);
        await requireNoneRunning(em, webhook.id, scope);
        const recovery = em.create(RecoveryEntity, {
          id: newUuid(ids),
          organizationId: webhook.organizationId,
          webhookId: webhook.id,
          scope,
          since,
          until,
          status: "RUNNING",
          statusReason: "",
          cursorTime: null,
          cursorId: null,
          examined: 0,
          resent: 0,
          createdAt: now,
          updatedAt: now,
          completedAt: null,
          dueAt: now,
        });
        await em.flush();
        const change = { action: "recovery.start", before: null, after: auditedRecovery(recovery) } as const;
        await audit.record(em, principal, { ...aboutRecovery(recovery), ...change });
        return recovery;
      });
      wakeRecovery();
      return started;
    },

    async get(principal, target) {
      const recovery = await findRecovery(database.em(), principal, target, {});
      await requireVisible(database.sql, principal, recovery);
      return recovery;
    },

    async list(principal, { organizationId: requested, webhookId, statuses }, request) {
      const organizationId = organizationOf(principal, requested);
      if (organizationId !== undefined) await organizations.require(organizationId);
      const filters = { list: "recovery", organizationId, webhookId, statuses };
      const after = decodePageToken(filters, request.pageToken);
      const em = database.em();
      const visible = await visibleWebhookIds(em, principal);
      const rows = await em.find(
        RecoveryEntity,
        {
          ...(organizationId === undefined ? {} : { organizationId }),
          $and: [
            webhookId === undefined ? {} : { webhookId },
            visible === undefined ? {} : { webhookId: { $in: visible } },
          ],
          ...(statuses.length === 0 ? {} : { status: { $in: [...statuses] } }),
          ...(after === undefined ? {} : { id: { $lt: after.id } }),
        },
        { orderBy: { id: "desc" }, limit: pageSizeOf(request) + 1 },
      );
      return pageById(rows, { request, filters, toItem: (row) => row });
    },

    cancel: (principal, target) =>
      transact(async (em) => {
        // A step holds the row while it is made.
        const recovery = await findRecovery(em, principal, target, { lockMode: LockMode.PESSIMISTIC_WRITE });
        const standing = await requireVisible(transactionSql(em), principal, recovery);
        if (standing !== "own") requireForShared(principal, recovery.webhookId);
        if (recovery.status === "CANCELLED") return recovery;
        if (recovery.status !== "RUNNING") throw notRunning(recovery);
        const now = new Date(ids.now());
        const was = auditedRecovery(recovery);
        Object.assign(recovery, {
          status: "CANCELLED",
          statusReason: "it was cancelled by request",
          updatedAt: now,
          completedAt: now,
        });
        await em.flush();
        const change = { action: "recovery.cancel", before: was, after: auditedRecovery(recovery) } as const;
        await audit.record(em, principal, { ...aboutRecovery(recovery), ...change });
        return recovery;
      }),
  };
}

export interface RecoveriesParts {
  organizations: Organizations;
  transact: Transact;
  audit: AuditTrail;
  /** Begins at once, instead of at the worker's next look. */
  wakeRecovery: () => void;
}

async function findRecovery(
  em: SqlEntityManager,
  principal: Principal,
  { id, organizationId: requested }: RecoveryTarget,
  options: { lockMode?: LockMode },
): Promise<RecoveryRecord> {
  const organizationId = organizationOf(principal, requested);
  const where = { id, ...(organizationId === undefined ? {} : { organizationId }) };
  const recovery = await em.findOne(RecoveryEntity, where, options);
  if (recovery === null) throw recoveryNotFound(id);
  return recovery;
}

/** Throws RECOVERY_NOT_FOUND for one of other projects than the caller's. */
async function requireVisible(sql: Pick<Sql, "query">, principal: Principal, { id, webhookId }: Recovery) {
  const standing = await standingOf(sql, principal, webhookId);
  if (standing === "foreign") throw recoveryNotFound(id);
  return standing;
}

function recoveryNotFound(id: string): TellwireError {
  const recoveryId = publicId("recovery", id);
  return new TellwireError("RECOVERY_NOT_FOUND", `there is no recovery ${recoveryId}`, {
    metadata: { recovery_id: recoveryId },
  });
}

async function requireNoneRunning(em: SqlEntityManager, webhookId: string, scope: RecoveryScope): Promise<void> {
  const running = await em.findOne(RecoveryEntity, { webhookId, scope, status: "RUNNING" });
  if (running === null) return;
  const id = publicId("recovery", running.id);
  throw new TellwireError(
    "RECOVERY_RUNNING",
    `the recovery ${id} of this webhook with the scope ${scope} is under way: wait for it (GetRecovery), or cancel it (CancelRecovery)`,
    { metadata: { recovery_id: id, webhook_id: publicId("webhook", webhookId), scope } },
  );
}

function sinceTooLate(until: Date): TellwireError {
  const description = `must be before until_time, which is ${until.toISOString()}: it may not be later than now`;
  return invalidFields({ field: "since_time", description });
}

function notRunning({ id, status }: RecoveryRecord): TellwireError {
  const recoveryId = publicId("recovery", id);
  return new TellwireError(
    "RECOVERY_NOT_RUNNING",
    `only a RUNNING recovery can be cancelled; this one is ${status}: it makes nothing due any more anyway`,
    { metadata: { recovery_id: recoveryId, status } },
  );
}

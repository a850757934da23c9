import { expect, it } from "vitest";
import type { AuditState } from "../../src/domain/audit-entry.ts";
import { ApiKeyEntity } from "../../src/store/entities/api-key.ts";
import { OrganizationEntity } from "../../src/store/entities/organization.ts";
import { RecoveryEntity } from "../../src/store/entities/recovery.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import {
  auditedApiKey,
  auditedOrganization,
  auditedRecovery,
  auditedWebhook,
} from "../../src/usecases/audited-states.ts";

const id = "019a7b1e-0000-7000-8000-000000000001";
const time = new Date("2026-01-01T00:00:00Z");

/** Rows with a value in every column. */
const webhook = {
  id,
  organizationId: id,
  projectIds: ["p1"],
  name: "Orders",
  description: "text",
  url: "https://example.com/",
  eventTypes: ["a"],
  status: "ACTIVE",
  statusReason: "text",
  format: "STANDARD",
  signingAlgorithm: "HMAC",
  headers: { "x-shop": "7" },
  config: { a: 1 },
  retryDelaysMs: [1_000],
  maxAttempts: 3,
  timeoutMs: 1_000,
  disableAfterExhausted: 3,
  rateLimitCount: 5,
  rateLimitPeriodMs: 1_000,
  ordering: "NONE",
  verificationMethod: "CHALLENGE",
  verifiedAt: time,
  verificationDueAt: time,
  activeSince: time,
  version: 1,
  createdAt: time,
  updatedAt: time,
};
const organization = {
  id,
  name: "Acme",
  projectIds: ["p1"],
  limits: { webhooks: 5 },
  createdAt: time,
  updatedAt: time,
};
const apiKey = {
  id,
  organizationId: id,
  projectId: "p1",
  name: "checkout",
  prefix: "twk_7k2m",
  hash: Buffer.from("7"),
  scopes: ["webhooks:read"],
  createdAt: time,
  expiresAt: time,
  revokedAt: time,
  lastUsedAt: time,
};
const recovery = {
  id,
  organizationId: id,
  webhookId: id,
  scope: "FAILED",
  since: time,
  until: time,
  status: "RUNNING",
  statusReason: "text",
  cursorTime: time,
  cursorId: id,
  examined: 1,
  resent: 1,
  createdAt: time,
  updatedAt: time,
  completedAt: time,
  dueAt: time,
};

/** A resource, what the audit log keeps of it, and which of its columns it leaves out: ids and times of its own, and what is not for it. */
const resources: [string, object, object, (row: never) => AuditState, string[]][] = [
  [
    "webhook",
    WebhookEntity,
    webhook,
    auditedWebhook,
    // When its verification is due, and since when it gets events, follow from its status.
    ["id", "organizationId", "verificationDueAt", "activeSince", "version", "createdAt", "updatedAt"],
  ],
  ["organization", OrganizationEntity, organization, auditedOrganization, ["id", "createdAt", "updatedAt"]],
  // Nothing of the key itself, not even the beginning of it.
  [
    "API key",
    ApiKeyEntity,
    apiKey,
    auditedApiKey,
    ["id", "organizationId", "prefix", "hash", "createdAt", "lastUsedAt"],
  ],
  // How far it is changes by itself.
  [
    "recovery",
    RecoveryEntity,
    recovery,
    auditedRecovery,
    [
      ...["id", "organizationId", "cursorTime", "cursorId", "examined", "resent"],
      ...["createdAt", "updatedAt", "completedAt", "dueAt"],
    ],
  ],
];

it.each(resources)(
  "a change of any column of a %s shows in the log, but for those left out",
  (_, entity, row, state, leftOut) => {
    const columns = Object.keys((entity as { meta: { properties: object } }).meta.properties);
    expect(Object.keys(row), "this test has a value for each column").toEqual(expect.arrayContaining(columns));
    const stateOf = state as (row: object) => AuditState;
    const unseen = columns.filter((column) => {
      const value = row[column as keyof typeof row] as unknown;
      const changed = stateOf({ ...row, [column]: another(value) });
      return JSON.stringify(changed) === JSON.stringify(stateOf(row));
    });
    expect(unseen.sort()).toEqual(leftOut.toSorted());
  },
);

/** Another value of the same kind. */
function another(value: unknown): unknown {
  if (typeof value === "number") return value + 1;
  if (typeof value === "string") return value === id ? id.replace("1", "2") : `${value}2`;
  if (value instanceof Date) return new Date(value.getTime() + 1_000);
  if (Array.isArray(value)) return [...value, value[0]];
  return { ...(value as object), more: "1" };
}

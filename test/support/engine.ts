import { randomBytes } from "node:crypto";
import type { Broker } from "../../src/broker/broker.ts";
import type { BacklogPace } from "../../src/delivery/backlog-pace.ts";
import { createEngine, type Engine, type EngineLimits, type EngineObserver } from "../../src/delivery/engine.ts";
import type { EventRecord } from "../../src/domain/event.ts";
import { firstIdAt, type IdSource, newUuid } from "../../src/domain/ids.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { generateSecret } from "../../src/domain/signing-key.ts";
import { createAddressGuard } from "../../src/outbound/address-guard.ts";
import { createHttpClient } from "../../src/outbound/http-client.ts";
import type { Database } from "../../src/store/database.ts";
import { OrganizationEntity } from "../../src/store/entities/organization.ts";
import { type Webhook, WebhookEntity } from "../../src/store/entities/webhook.ts";
import { newWebhookHealth, WebhookHealthEntity } from "../../src/store/entities/webhook-health.ts";
import { WebhookSecretEntity } from "../../src/store/entities/webhook-secret.ts";
import { readAttempts, storedAttempts } from "../../src/store/sql/stored-attempts.ts";
import {
  type DeliveryRow,
  finishedColumns,
  type StoredDelivery,
  scheduledColumns,
  storedDelivery,
} from "../../src/store/sql/stored-deliveries.ts";

export const testIds: IdSource = { now: Date.now, randomBytes };
export const testSecretBox = createSecretBox({ keys: [randomBytes(32)] });

/** The engine alone, with organizations and webhooks written straight into the tables. */
export interface TestEngine {
  engine: Engine;
  failures: unknown[];
  rejections: { reason: string; detail: string }[];
  /** Waits for what is under way; 30 seconds where it is left out. Rejects where something could not be recorded in that time. */
  stop(graceMs?: number): Promise<void>;
}

export interface TestEngineOptions {
  database: Database;
  broker: Broker;
  limits?: Partial<EngineLimits>;
  maxPerWebhook?: number;
  subjectPrefix?: string;
  ids?: IdSource;
  backlogPace?: BacklogPace;
  observer?: Partial<EngineObserver>;
}

export function createTestEngine(options: TestEngineOptions): TestEngine {
  const { database, broker, limits = {}, maxPerWebhook = 16, ids = testIds, observer = {} } = options;
  const failures: unknown[] = [];
  const rejections: { reason: string; detail: string }[] = [];
  const guard = createAddressGuard({ allow: ["127.0.0.0/8"], deny: [] });
  const client = createHttpClient({ policy: { guard, allowHttp: true, allowPorts: [] }, userAgent: "Tellwire/test" });
  const engine = createEngine({
    sql: database.sql,
    broker,
    secretBox: testSecretBox,
    client,
    ids,
    random: Math.random,
    defaultPolicy: DEFAULT_RETRY_POLICY,
    requestOrigin: "tellwire.test",
    maxPayloadBytes: 262_144,
    ...(options.subjectPrefix === undefined ? {} : { subjectPrefix: options.subjectPrefix }),
    ...(options.backlogPace === undefined ? {} : { backlogPace: options.backlogPace }),
    maxPerWebhook,
    limits: { pollIntervalMs: 50, ...limits },
    observer: {
      inFlight: () => {},
      attempted: () => {},
      attemptBroke: (_report, error) => void failures.push(error),
      received: () => {},
      rejected: (_message, reason, detail) => void rejections.push({ reason, detail }),
      recorded: () => {},
      lanesHeld: () => {},
      breakerChanged: () => {},
      state: () => {},
      failed: (_stage, error) => void failures.push(error),
      ...observer,
    },
  });
  return {
    engine,
    failures,
    rejections,
    async stop(graceMs = 30_000) {
      await engine.stop(graceMs).finally(() => client.close());
    },
  };
}

export async function addOrganization(database: Database): Promise<string> {
  const now = new Date();
  const em = database.em();
  const { id } = em.create(OrganizationEntity, { id: newUuid(testIds), name: "Test", createdAt: now, updatedAt: now });
  await em.flush();
  return id;
}

/** An active webhook; the secret is the one that it signs with. */
export async function addWebhook(
  database: Database,
  organizationId: string,
  values: Partial<Webhook> & { url: string },
): Promise<{ webhook: Webhook; secret: string }> {
  const now = new Date();
  const em = database.em();
  const webhook = em.create(WebhookEntity, {
    id: newUuid(testIds),
    organizationId,
    projectIds: [],
    name: null,
    description: "",
    eventTypes: ["*"],
    status: "ACTIVE",
    statusReason: "",
    format: "STANDARD",
    headers: {},
    config: null,
    disableAfterExhausted: null,
    retryDelaysMs: null,
    maxAttempts: null,
    timeoutMs: null,
    verificationMethod: "CHALLENGE",
    verifiedAt: now,
    verificationDueAt: null,
    activeSince: new Date(now.getTime() - 1_000),
    createdAt: now,
    updatedAt: now,
    ...values,
  });
  await em.flush();
  em.create(WebhookHealthEntity, newWebhookHealth(webhook.id));
  await em.flush();
  return { webhook, secret: await addSecret(database, webhook.id) };
}

/** Gives a webhook one more secret, newer than the others. */
export async function addSecret(database: Database, webhookId: string): Promise<string> {
  const secret = generateSecret(randomBytes);
  const em = database.em();
  em.create(WebhookSecretEntity, {
    id: newUuid(testIds),
    webhookId,
    sealed: testSecretBox.seal(secret, webhookId),
    createdAt: new Date(),
    expiresAt: null,
  });
  await em.flush();
  return secret;
}

export function newEvent(organizationId: string, values: Partial<EventRecord> = {}): EventRecord {
  return {
    id: newUuid(testIds),
    organizationId,
    externalId: null,
    type: "order.paid",
    dataJson: '{"amount":42}',
    source: null,
    subject: null,
    projectId: null,
    orderingKey: null,
    traceparent: null,
    occurredAt: new Date(),
    ...values,
  };
}

/** The webhook's deliveries, scheduled and finished ones, in the order of their events' receipt. */
export async function deliveriesOf(database: Database, webhookId: string): Promise<StoredDelivery[]> {
  const text = `
    select ${scheduledColumns} from scheduled_delivery where webhook_id = $1
    union all
    select ${finishedColumns} from delivery where webhook_id = $1
    order by id`;
  const rows = await database.sql.query<DeliveryRow>({ name: "", text }, [webhookId]);
  return rows.map(storedDelivery);
}

/** All attempts of a delivery, wherever they stand, by their number. */
export async function attemptsOf(database: Database, deliveryId: string) {
  return await readAttempts(database.sql, { deliveryIds: [deliveryId], first: firstIdAt(0), end: maxId });
}

const maxId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/** When each attempt began, in milliseconds since the epoch, in that order. */
export async function attemptTimes(database: Database): Promise<number[]> {
  const text = `select (extract(epoch from started_at) * 1000)::float8 as at from (${storedAttempts}) a order by started_at`;
  return (await database.sql.query<{ at: number }>({ name: "", text }, [])).map(({ at }) => at);
}

import type { JsonObject } from "@bufbuild/protobuf";
import type { Example } from "../operation.ts";

/** Bodies and answers by operation, as a client meets them when it sets up its first webhook. Each is valid as it stands. */
export function examples(): Readonly<Record<string, Example>> {
  return {
    WebhookService_CreateWebhook: {
      request: {
        name: "Orders",
        url: "https://shop.example.com/hooks/orders",
        eventTypes: ["order.*"],
        headers: { "x-shop": "eu-1" },
        retryPolicy: { delays: ["5s", "300s", "3600s"], timeout: "10s" },
      },
      response: { webhook: { ...webhook, status: "WEBHOOK_STATUS_UNVERIFIED" }, signingSecret: secret },
    },
    WebhookService_GetWebhook: { response: webhook },
    WebhookService_ListWebhooks: { response: { webhooks: [webhook] } },
    WebhookService_UpdateWebhook: {
      request: { eventTypes: ["order.*", "invoice.paid"], etag: webhook.etag },
      response: { ...webhook, eventTypes: ["order.*", "invoice.paid"] },
    },
    WebhookService_DeleteWebhook: { response: {} },
    WebhookService_RotateWebhookSecret: {
      request: { overlap: "86400s" },
      response: { signingSecret: secret, previousSecretExpireTime: "2025-11-22T22:00:00Z" },
    },
    WebhookService_TestWebhook: {
      request: { eventType: "order.paid", data: { order: "A-1042", amount: 4200 } },
      response: {
        success: true,
        deliveryId: ids.delivery,
        eventId: ids.event,
        attempt: { ...attempt, trigger: "ATTEMPT_TRIGGER_TEST" },
      },
    },
    WebhookService_VerifyWebhook: { request: {}, response: { verified: true, webhook } },
    WebhookService_PauseWebhook: {
      request: { reason: "maintenance until noon" },
      response: { ...webhook, status: "WEBHOOK_STATUS_PAUSED", statusReason: "maintenance until noon" },
    },
    WebhookService_ResumeWebhook: { request: {}, response: webhook },
    WebhookService_ImportWebhooks: {
      request: {
        imports: [
          {
            webhook: { ...withoutEtag, updateTime: "2025-11-21T21:10:01Z", signingSecret: secret },
            previousSecrets: [{ signingSecret: previousSecret, expireTime: "2025-11-22T22:00:00Z" }],
          },
        ],
      },
      response: { results: [{ webhookId: ids.webhook, outcome: "WEBHOOK_IMPORT_OUTCOME_IMPORTED" }] },
    },
    EventService_PublishEvent: {
      request: { id: "order-1042-paid", type: "order.paid", data: { order: "A-1042", amount: 4200 } },
      response: { eventId: ids.event },
    },
    EventService_PublishEvents: {
      request: {
        events: [
          { type: "order.paid", data: { order: "A-1042", amount: 4200 } },
          { type: "order.shipped", data: { order: "A-1041" }, subject: "A-1041" },
        ],
      },
      response: { eventIds: [ids.event, "evt_01k8djrfafes9vsxx6yb4c3jwn"] },
    },
    EventService_GetEvent: { response: event },
    EventService_ListEvents: { response: { events: [event] } },
    DeliveryService_GetDelivery: { response: { ...delivery, attempts: [attempt] } },
    DeliveryService_ListDeliveries: { response: { deliveries: [delivery], nextPageToken: "eyJhZnRlciI6IjAxOWEifQ" } },
    DeliveryService_RetryDelivery: { request: {}, response: scheduled },
    DeliveryService_CancelDelivery: {
      request: {},
      response: { ...scheduled, status: "DELIVERY_STATUS_CANCELLED", statusReason: "cancelled by a call" },
    },
    DeliveryService_RecoverDeliveries: {
      request: { scope: "RECOVERY_SCOPE_FAILED", sinceTime: "2025-11-21T21:00:00Z" },
      response: recovery,
    },
    DeliveryService_GetRecovery: { response: { ...recovery, ...halfway } },
    DeliveryService_ListRecoveries: { response: { recoveries: [{ ...recovery, ...halfway }] } },
    DeliveryService_CancelRecovery: {
      request: {},
      response: {
        ...recovery,
        ...halfway,
        status: "RECOVERY_STATUS_CANCELLED",
        statusReason: "it was cancelled by request",
        completeTime: "2025-11-22T09:00:03Z",
      },
    },
    OrganizationService_CreateOrganization: { request: { name: "Example Shop" }, response: organization },
    OrganizationService_GetOrganization: { response: organization },
    OrganizationService_ListOrganizations: { response: { organizations: [organization] } },
    OrganizationService_UpdateOrganization: {
      request: { name: "Example Shop Ltd" },
      response: { ...organization, name: "Example Shop Ltd" },
    },
    OrganizationService_GetOrganizationUsage: {
      response: {
        organizationId: ids.organization,
        webhooks: { used: "3", limit: "1000" },
        apiKeys: { used: "1", limit: "100" },
        eventsToday: { used: "4200" },
        publishedEvents: [
          { day: "2025-11-22", events: "4200" },
          { day: "2025-11-21", events: "39117" },
        ],
      },
    },
    OrganizationService_CreateApiKey: {
      request: { name: "checkout service", expireTime: "2035-01-01T00:00:00Z" },
      response: { apiKey, key: "twk_example" },
    },
    OrganizationService_ListApiKeys: { response: { apiKeys: [apiKey] } },
    OrganizationService_RevokeApiKey: { response: {} },
    AuditService_ListAuditEntries: { response: { auditEntries: [auditEntry] } },
    AuditService_GetAuditEntry: { response: auditEntry },
    OrganizationService_CreatePortalToken: {
      request: { readOnly: true, projectId: "shop-7", lifetime: "900s" },
      response: {
        token: "twp_example",
        id: "ptk_01k8djrfaefx88mtvwhpf0y6hb",
        organizationId: ids.organization,
        projectId: "shop-7",
        scopes: ["SCOPE_WEBHOOKS_READ", "SCOPE_EVENTS_READ", "SCOPE_DELIVERIES_READ"],
        expireTime: "2025-11-21T21:20:00Z",
      },
    },
  };
}

const ids = {
  organization: "org_01k8djrfaefx88mtvwhpf0y6hb",
  webhook: "wh_01k8djrfaefx88mtvwhpf0y6hb",
  event: "evt_01k8djrfaefx88mtvwhpf0y6hb",
  delivery: "dlv_01k8djrfaefx88mtvwhpf0y6hb",
};

/** Not a secret of anybody: 24 zero bytes. */
const secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const previousSecret = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

const organization: JsonObject = {
  id: ids.organization,
  name: "Example Shop",
  createTime: "2025-11-21T21:00:00Z",
  updateTime: "2025-11-21T21:00:00Z",
};

const apiKey: JsonObject = {
  id: "key_01k8djrfaefx88mtvwhpf0y6hb",
  organizationId: ids.organization,
  name: "checkout service",
  prefix: "twk_7k2m",
  createTime: "2025-11-21T21:05:00Z",
  expireTime: "2035-01-01T00:00:00Z",
};

const webhook = {
  id: ids.webhook,
  organizationId: ids.organization,
  name: "Orders",
  url: "https://shop.example.com/hooks/orders",
  eventTypes: ["order.*"],
  status: "WEBHOOK_STATUS_ACTIVE",
  format: "WEBHOOK_FORMAT_STANDARD",
  headers: { "x-shop": "eu-1" },
  retryPolicy: { delays: ["5s", "300s", "3600s"], timeout: "10s" },
  verification: { method: "VERIFICATION_METHOD_CHALLENGE", verifyTime: "2025-11-21T21:10:01Z" },
  createTime: "2025-11-21T21:10:00Z",
  updateTime: "2025-11-21T21:10:01Z",
  etag: "3f6c1a",
} satisfies JsonObject;

const { etag: _, ...withoutEtag } = webhook;

const event: JsonObject = {
  id: ids.event,
  externalId: "order-1042-paid",
  organizationId: ids.organization,
  type: "order.paid",
  data: { order: "A-1042", amount: 4200 },
  occurTime: "2025-11-21T22:00:00Z",
  receiveTime: "2025-11-21T22:00:00.120Z",
};

const attempt: JsonObject = {
  id: "att_01k8djrfaefx88mtvwhpf0y6hb",
  number: 1,
  trigger: "ATTEMPT_TRIGGER_SCHEDULE",
  startTime: "2025-11-21T22:00:00.130Z",
  latency: "0.042s",
  statusCode: 204,
  url: "https://shop.example.com/hooks/orders",
};

const delivery: JsonObject = {
  id: ids.delivery,
  organizationId: ids.organization,
  webhookId: ids.webhook,
  eventId: ids.event,
  eventType: "order.paid",
  status: "DELIVERY_STATUS_DELIVERED",
  attemptCount: 1,
  lastStatusCode: 204,
  createTime: "2025-11-21T22:00:00.125Z",
  completeTime: "2025-11-21T22:00:00.172Z",
};

const recovery: JsonObject = {
  id: "rcv_01k8djrfaefx88mtvwhpf0y6hb",
  organizationId: ids.organization,
  webhookId: ids.webhook,
  scope: "RECOVERY_SCOPE_FAILED",
  sinceTime: "2025-11-21T21:00:00Z",
  untilTime: "2025-11-22T09:00:00Z",
  status: "RECOVERY_STATUS_RUNNING",
  createTime: "2025-11-22T09:00:00Z",
  updateTime: "2025-11-22T09:00:00Z",
};

const halfway: JsonObject = {
  examinedCount: "1500",
  resentCount: "1500",
  progressPercent: 52,
  updateTime: "2025-11-22T09:00:01Z",
};

const auditEntry: JsonObject = {
  id: "aud_01k8djrfaefx88mtvwhpf0y6hb",
  createTime: "2025-11-22T09:12:04.310Z",
  organizationId: ids.organization,
  actor: { kind: "AUDIT_ACTOR_KIND_API_KEY", id: "key_01k8djrfaefx88mtvwhpf0y6hb" },
  action: "webhook.update",
  resourceType: "webhook",
  resourceId: ids.webhook,
  origin: { address: "192.0.2.10", userAgent: "shop-admin/3.1", requestId: "req_5d0c4a7be2f19a63c8d1f0aa" },
  changedFields: ["eventTypes", "headers.x-shop"],
  before: { eventTypes: ["order.*"], headers: { "x-shop": "***" } },
  after: { eventTypes: ["order.*", "invoice.paid"], headers: { "x-shop": "***" } },
};

const scheduled: JsonObject = {
  id: ids.delivery,
  organizationId: ids.organization,
  webhookId: ids.webhook,
  eventId: ids.event,
  eventType: "order.paid",
  status: "DELIVERY_STATUS_SCHEDULED",
  attemptCount: 1,
  nextAttemptTime: "2025-11-21T22:00:05Z",
  lastStatusCode: 500,
  createTime: "2025-11-21T22:00:00.125Z",
};

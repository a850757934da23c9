import { randomUUID } from "node:crypto";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Scope } from "../../gen/tellwire/v1/access_pb.ts";
import { RecoveryScope } from "../../gen/tellwire/v1/recovery_pb.ts";
import { WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import type { World } from "./matrix-world.ts";

/** The requests of one RPC, as fields of its message, and what has to come of them through every door. */
export interface RpcCase {
  /** Made anew for each door. By the organization's key, unless `as` says otherwise. */
  success: (world: World) => Promise<object> | object;
  as?: "operator";
  /** A request whose fields break rules: these ones. */
  invalid: { request: object; fields: string[] };
  /** By the organization's key, about something of the other one; undefined where a request can name nothing of the kind. */
  foreign: ((world: World) => Promise<Refused> | Refused) | undefined;
  /** By the operator's key, with an id that nothing has; undefined where a request has no id. */
  unknown: Refused | undefined;
  /** The request that only operators may make, by the organization's key. */
  operatorOnly?: (world: World) => object;
}

export interface Refused {
  request: object;
  reason: string;
}

const nobody = "01k3a9q7j8f0vb2m4n6p8r1s3t";
const unknown = {
  webhook: { request: { id: `wh_${nobody}` }, reason: "WEBHOOK_NOT_FOUND" },
  event: { request: { id: `evt_${nobody}` }, reason: "EVENT_NOT_FOUND" },
  delivery: { request: { id: `dlv_${nobody}` }, reason: "DELIVERY_NOT_FOUND" },
  recovery: { request: { id: `rcv_${nobody}` }, reason: "RECOVERY_NOT_FOUND" },
  auditEntry: { request: { id: `aud_${nobody}` }, reason: "AUDIT_ENTRY_NOT_FOUND" },
  organization: { request: { id: `org_${nobody}` }, reason: "ORGANIZATION_NOT_FOUND" },
};
const invalidId = { request: { id: "7" }, fields: ["id"] };
const webhookOfOther = async ({ webhook, other }: World) => ({
  request: { id: await webhook(other) },
  reason: "WEBHOOK_NOT_FOUND",
});
const recoveryRequest = (webhookId: string) => ({
  webhookId,
  scope: RecoveryScope.FAILED,
  sinceTime: timestampFromDate(new Date(0)),
});
const recoveryOfOther = async ({ recovery, other }: World) => ({
  request: { id: await recovery(other) },
  reason: "RECOVERY_NOT_FOUND",
});
/** A list that names the other organization. */
const listOfOther = ({ other }: World) => ({
  request: { organizationId: other.id },
  reason: "ORGANIZATION_NOT_FOUND",
});
const listOfNobody = { request: { organizationId: `org_${nobody}` }, reason: "ORGANIZATION_NOT_FOUND" };
const event = (fields: object = {}) => ({ type: "unheard", dataJson: Buffer.from('{"a":[1,"ü"]}'), ...fields });
const webhookImport = (organizationId: string, url: string) => ({
  webhook: {
    id: randomUUID(),
    organizationId,
    url,
    eventTypes: ["*"],
    status: WebhookStatus.PAUSED,
    signingSecret: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
  },
});

/** By service and method. */
export const cases: Readonly<Record<string, RpcCase>> = {
  "WebhookService/CreateWebhook": {
    success: ({ receiverUrl }) => ({
      webhook: {
        url: receiverUrl,
        eventTypes: ["order.*", "invoice.paid"],
        description: "Zoë ✓",
        headers: { "x-shop": "7" },
        retryPolicy: { delays: [{ seconds: 5n }, { seconds: 1n, nanos: 500_000_000 }], maxAttempts: 3 },
      },
    }),
    invalid: {
      request: { webhook: { url: "", eventTypes: ["a..b"], name: "x".repeat(129) } },
      fields: ["webhook.name", "webhook.url", "webhook.event_types[0]"],
    },
    foreign: ({ other, receiverUrl }) => ({
      request: { webhook: { organizationId: other.id, url: receiverUrl, eventTypes: ["*"] } },
      reason: "ORGANIZATION_NOT_FOUND",
    }),
    unknown: {
      request: { webhook: { organizationId: `org_${nobody}`, url: "https://example.com/", eventTypes: ["*"] } },
      reason: "ORGANIZATION_NOT_FOUND",
    },
  },
  "WebhookService/GetWebhook": {
    success: async ({ webhook }) => ({ id: await webhook() }),
    invalid: invalidId,
    foreign: webhookOfOther,
    unknown: unknown.webhook,
  },
  "WebhookService/ListWebhooks": {
    success: () => ({ projectId: "none", statuses: [WebhookStatus.ACTIVE, WebhookStatus.PAUSED], pageSize: 3 }),
    invalid: { request: { pageSize: 201, organizationId: "7" }, fields: ["organization_id", "page_size"] },
    foreign: listOfOther,
    unknown: listOfNobody,
  },
  "WebhookService/UpdateWebhook": {
    success: async ({ webhook }) => ({
      webhook: { id: await webhook(), description: "new", eventTypes: ["a.*"] },
      updateMask: { paths: ["description", "event_types", "headers"] },
    }),
    invalid: {
      request: { webhook: { id: `wh_${nobody}`, name: "x".repeat(129) }, updateMask: { paths: ["name"] } },
      fields: ["webhook.name"],
    },
    foreign: async ({ webhook, other }) => ({
      request: { webhook: { id: await webhook(other), description: "new" }, updateMask: { paths: ["description"] } },
      reason: "WEBHOOK_NOT_FOUND",
    }),
    unknown: {
      request: { webhook: { id: `wh_${nobody}`, description: "new" }, updateMask: { paths: ["description"] } },
      reason: "WEBHOOK_NOT_FOUND",
    },
  },
  "WebhookService/DeleteWebhook": {
    success: async ({ webhook }) => ({ id: await webhook() }),
    invalid: invalidId,
    foreign: webhookOfOther,
    unknown: unknown.webhook,
  },
  "WebhookService/RotateWebhookSecret": {
    success: async ({ webhook }) => ({ id: await webhook(), overlap: { seconds: 60n } }),
    invalid: { request: { id: `wh_${nobody}`, overlap: { seconds: 2_592_001n } }, fields: ["overlap"] },
    foreign: webhookOfOther,
    unknown: unknown.webhook,
  },
  "WebhookService/TestWebhook": {
    success: async ({ webhook }) => ({ id: await webhook(), eventType: "a.test" }),
    invalid: { request: { id: `wh_${nobody}`, eventType: "a test" }, fields: ["event_type"] },
    foreign: webhookOfOther,
    unknown: unknown.webhook,
  },
  "WebhookService/VerifyWebhook": {
    success: async ({ challengedWebhook }) => ({ id: await challengedWebhook() }),
    invalid: invalidId,
    foreign: webhookOfOther,
    unknown: unknown.webhook,
  },
  "WebhookService/PauseWebhook": {
    success: async ({ webhook }) => ({ id: await webhook(), reason: "for a while" }),
    invalid: { request: { id: `wh_${nobody}`, reason: "x".repeat(257) }, fields: ["reason"] },
    foreign: webhookOfOther,
    unknown: unknown.webhook,
  },
  "WebhookService/ResumeWebhook": {
    success: async ({ pausedWebhook }) => ({ id: await pausedWebhook() }),
    invalid: invalidId,
    foreign: webhookOfOther,
    unknown: unknown.webhook,
  },
  "WebhookService/ImportWebhooks": {
    as: "operator",
    success: ({ own, receiverUrl }) => ({ imports: [webhookImport(own.id, receiverUrl), {}] }),
    invalid: { request: { imports: [] }, fields: ["imports"] },
    foreign: undefined,
    // It refuses the one import, not the call.
    unknown: undefined,
    operatorOnly: ({ own, receiverUrl }) => ({ imports: [webhookImport(own.id, receiverUrl)] }),
  },
  "EventService/PublishEvent": {
    success: () => ({ event: event({ subject: "a b", projectId: "p1", occurTime: timestampFromDate(new Date(0)) }) }),
    invalid: { request: { event: event({ type: "a b" }) }, fields: ["event.type"] },
    foreign: ({ other }) => ({
      request: { event: event({ organizationId: other.id }) },
      reason: "ORGANIZATION_NOT_FOUND",
    }),
    unknown: { request: { event: event({ organizationId: `org_${nobody}` }) }, reason: "ORGANIZATION_NOT_FOUND" },
  },
  "EventService/PublishEvents": {
    success: () => ({ events: [event(), event()] }),
    invalid: { request: { events: [event(), event({ type: "" })] }, fields: ["events[1].type"] },
    foreign: ({ other }) => ({
      request: { events: [event(), event({ organizationId: other.id })] },
      reason: "ORGANIZATION_NOT_FOUND",
    }),
    unknown: { request: { events: [event({ organizationId: `org_${nobody}` })] }, reason: "ORGANIZATION_NOT_FOUND" },
  },
  "EventService/GetEvent": {
    success: async ({ event: make }) => ({ id: await make() }),
    invalid: { request: { id: "x".repeat(257) }, fields: ["id"] },
    foreign: async ({ event: make, other }) => ({ request: { id: await make(other) }, reason: "EVENT_NOT_FOUND" }),
    unknown: unknown.event,
  },
  "EventService/ListEvents": {
    success: () => ({ type: "never.published", receivedAfter: timestampFromDate(new Date(0)) }),
    invalid: { request: { pageSize: -1 }, fields: ["page_size"] },
    foreign: listOfOther,
    unknown: listOfNobody,
  },
  "DeliveryService/ListDeliveries": {
    success: async ({ webhook }) => ({ webhookId: await webhook(), statuses: [1, 2] }),
    invalid: { request: { webhookId: "7", statuses: [77] }, fields: ["webhook_id", "statuses[0]"] },
    foreign: listOfOther,
    unknown: listOfNobody,
  },
  "DeliveryService/GetDelivery": {
    success: async ({ delivered }) => ({ id: await delivered() }),
    invalid: invalidId,
    foreign: async ({ waiting, other }) => ({ request: { id: await waiting(other) }, reason: "DELIVERY_NOT_FOUND" }),
    unknown: unknown.delivery,
  },
  "DeliveryService/RetryDelivery": {
    success: async ({ delivered }) => ({ id: await delivered() }),
    invalid: invalidId,
    foreign: async ({ waiting, other }) => ({ request: { id: await waiting(other) }, reason: "DELIVERY_NOT_FOUND" }),
    unknown: unknown.delivery,
  },
  "DeliveryService/CancelDelivery": {
    success: async ({ waiting }) => ({ id: await waiting() }),
    invalid: invalidId,
    foreign: async ({ waiting, other }) => ({ request: { id: await waiting(other) }, reason: "DELIVERY_NOT_FOUND" }),
    unknown: unknown.delivery,
  },
  "DeliveryService/RecoverDeliveries": {
    success: async ({ webhook }) => ({
      webhookId: await webhook(),
      scope: RecoveryScope.NEVER_SENT,
      sinceTime: timestampFromDate(new Date(0)),
      untilTime: timestampFromDate(new Date(1)),
    }),
    invalid: { request: { webhookId: "7", scope: 77 }, fields: ["webhook_id", "scope", "since_time"] },
    foreign: async ({ webhook, other }) => ({
      request: recoveryRequest(await webhook(other)),
      reason: "WEBHOOK_NOT_FOUND",
    }),
    unknown: { request: recoveryRequest(`wh_${nobody}`), reason: "WEBHOOK_NOT_FOUND" },
  },
  "DeliveryService/GetRecovery": {
    success: async ({ recovery }) => ({ id: await recovery() }),
    invalid: invalidId,
    foreign: recoveryOfOther,
    unknown: unknown.recovery,
  },
  "DeliveryService/ListRecoveries": {
    success: async ({ webhook }) => ({ webhookId: await webhook(), statuses: [1, 2], pageSize: 3 }),
    invalid: { request: { webhookId: "7", statuses: [77] }, fields: ["webhook_id", "statuses[0]"] },
    foreign: listOfOther,
    unknown: listOfNobody,
  },
  "DeliveryService/CancelRecovery": {
    success: async ({ cancelledRecovery }) => ({ id: await cancelledRecovery() }),
    invalid: invalidId,
    foreign: recoveryOfOther,
    unknown: unknown.recovery,
  },
  "OrganizationService/CreateOrganization": {
    as: "operator",
    success: () => ({ organization: { name: "New" } }),
    invalid: { request: { organization: { name: "x".repeat(129) } }, fields: ["organization.name"] },
    foreign: undefined,
    unknown: undefined,
    operatorOnly: () => ({ organization: { name: "New" } }),
  },
  "OrganizationService/GetOrganization": {
    success: ({ own }) => ({ id: own.id }),
    invalid: invalidId,
    foreign: ({ other }) => ({ request: { id: other.id }, reason: "ORGANIZATION_NOT_FOUND" }),
    unknown: unknown.organization,
  },
  "OrganizationService/ListOrganizations": {
    success: () => ({ pageSize: 10 }),
    invalid: { request: { pageSize: 201, pageToken: "x".repeat(257) }, fields: ["page_size", "page_token"] },
    foreign: undefined,
    unknown: undefined,
  },
  "OrganizationService/UpdateOrganization": {
    as: "operator",
    success: async ({ organization }) => ({ organization: { id: await organization(), name: "Newer" } }),
    invalid: {
      request: { organization: { id: `org_${nobody}`, name: "x".repeat(129) } },
      fields: ["organization.name"],
    },
    foreign: undefined,
    unknown: {
      request: { organization: { id: `org_${nobody}`, name: "Newer" } },
      reason: "ORGANIZATION_NOT_FOUND",
    },
    operatorOnly: ({ own }) => ({ organization: { id: own.id, name: "Newer" } }),
  },
  "OrganizationService/GetOrganizationUsage": {
    as: "operator",
    // What was published in the others is counted while they are asked.
    success: async ({ countedOrganization }) => ({ organizationId: await countedOrganization() }),
    invalid: { request: { organizationId: "7" }, fields: ["organization_id"] },
    foreign: listOfOther,
    unknown: { request: { organizationId: `org_${nobody}` }, reason: "ORGANIZATION_NOT_FOUND" },
  },
  "OrganizationService/CreateApiKey": {
    success: ({ own }) => ({ organizationId: own.id, apiKey: { name: "new" } }),
    invalid: {
      request: { organizationId: `org_${nobody}`, apiKey: { name: "x".repeat(129) } },
      fields: ["api_key.name"],
    },
    foreign: ({ other }) => ({
      request: { organizationId: other.id, apiKey: { name: "new" } },
      reason: "ORGANIZATION_NOT_FOUND",
    }),
    unknown: { request: { organizationId: `org_${nobody}` }, reason: "ORGANIZATION_NOT_FOUND" },
  },
  "OrganizationService/ListApiKeys": {
    as: "operator",
    success: async ({ organization, apiKey }) => {
      const organizationId = await organization();
      await apiKey(organizationId);
      return { organizationId, pageSize: 5 };
    },
    invalid: { request: { organizationId: "7" }, fields: ["organization_id"] },
    foreign: listOfOther,
    unknown: { request: { organizationId: `org_${nobody}` }, reason: "ORGANIZATION_NOT_FOUND" },
  },
  "OrganizationService/RevokeApiKey": {
    success: async ({ apiKey, own }) => ({ organizationId: own.id, id: await apiKey(own.id) }),
    invalid: { request: { organizationId: "7", id: "8" }, fields: ["organization_id", "id"] },
    foreign: async ({ apiKey, other }) => ({
      request: { organizationId: other.id, id: await apiKey(other.id) },
      reason: "ORGANIZATION_NOT_FOUND",
    }),
    unknown: { request: { organizationId: `org_${nobody}`, id: `key_${nobody}` }, reason: "ORGANIZATION_NOT_FOUND" },
  },
  "AuditService/ListAuditEntries": {
    success: async ({ webhook }) => ({
      resourceId: await webhook(),
      action: "webhook.create",
      createdAfter: timestampFromDate(new Date(0)),
      pageSize: 3,
    }),
    invalid: {
      request: { action: "Webhook", resourceId: "7", pageSize: 201 },
      fields: ["page_size", "action", "resource_id"],
    },
    foreign: listOfOther,
    unknown: listOfNobody,
  },
  "AuditService/GetAuditEntry": {
    success: async ({ auditEntry }) => ({ id: await auditEntry() }),
    invalid: invalidId,
    foreign: async ({ auditEntry, other }) => ({
      request: { id: await auditEntry(other) },
      reason: "AUDIT_ENTRY_NOT_FOUND",
    }),
    unknown: unknown.auditEntry,
  },
  "OrganizationService/CreatePortalToken": {
    success: ({ own }) => ({ organizationId: own.id, scopes: [Scope.WEBHOOKS_READ], lifetime: { seconds: 90n } }),
    invalid: {
      request: { organizationId: "7", scopes: [99], projectId: "a b", lifetime: { seconds: 1n } },
      fields: ["organization_id", "project_id", "scopes[0]", "lifetime"],
    },
    foreign: ({ other }) => ({ request: { organizationId: other.id }, reason: "ORGANIZATION_NOT_FOUND" }),
    unknown: { request: { organizationId: `org_${nobody}` }, reason: "ORGANIZATION_NOT_FOUND" },
  },
};

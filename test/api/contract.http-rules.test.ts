import { expect, test } from "vitest";
import { type HttpBinding, readHttpBindings } from "../../src/gateway/http-binding.ts";
import { contractServices } from "../support/contract-services.ts";

/** Method, route, body and response_body. `buf breaking` does not see them; clients do: what stands here is changed by a new version only. */
const rules = [
  ["WebhookService/CreateWebhook", "POST /v1/webhooks", "webhook", ""],
  ["WebhookService/GetWebhook", "GET /v1/webhooks/{id}", "", "webhook"],
  ["WebhookService/ListWebhooks", "GET /v1/webhooks", "", ""],
  ["WebhookService/UpdateWebhook", "PATCH /v1/webhooks/{webhook.id}", "webhook", "webhook"],
  ["WebhookService/DeleteWebhook", "DELETE /v1/webhooks/{id}", "", ""],
  ["WebhookService/RotateWebhookSecret", "POST /v1/webhooks/{id}:rotateSecret", "*", ""],
  ["WebhookService/TestWebhook", "POST /v1/webhooks/{id}:test", "*", ""],
  ["WebhookService/VerifyWebhook", "POST /v1/webhooks/{id}:verify", "*", ""],
  ["WebhookService/PauseWebhook", "POST /v1/webhooks/{id}:pause", "*", "webhook"],
  ["WebhookService/ResumeWebhook", "POST /v1/webhooks/{id}:resume", "*", "webhook"],
  ["WebhookService/ImportWebhooks", "POST /v1/webhooks:import", "*", ""],
  ["EventService/PublishEvent", "POST /v1/events", "event", ""],
  ["EventService/PublishEvents", "POST /v1/events:batch", "*", ""],
  ["EventService/GetEvent", "GET /v1/events/{id}", "", "event"],
  ["EventService/ListEvents", "GET /v1/events", "", ""],
  ["DeliveryService/ListDeliveries", "GET /v1/deliveries", "", ""],
  ["DeliveryService/GetDelivery", "GET /v1/deliveries/{id}", "", "delivery"],
  ["DeliveryService/RetryDelivery", "POST /v1/deliveries/{id}:retry", "*", "delivery"],
  ["DeliveryService/CancelDelivery", "POST /v1/deliveries/{id}:cancel", "*", "delivery"],
  ["DeliveryService/RecoverDeliveries", "POST /v1/webhooks/{webhook_id}:recover", "*", "recovery"],
  ["DeliveryService/GetRecovery", "GET /v1/recoveries/{id}", "", "recovery"],
  ["DeliveryService/ListRecoveries", "GET /v1/recoveries", "", ""],
  ["DeliveryService/CancelRecovery", "POST /v1/recoveries/{id}:cancel", "*", "recovery"],
  ["OrganizationService/CreateOrganization", "POST /v1/organizations", "organization", "organization"],
  ["OrganizationService/GetOrganization", "GET /v1/organizations/{id}", "", "organization"],
  ["OrganizationService/ListOrganizations", "GET /v1/organizations", "", ""],
  [
    "OrganizationService/UpdateOrganization",
    "PATCH /v1/organizations/{organization.id}",
    "organization",
    "organization",
  ],
  ["OrganizationService/GetOrganizationUsage", "GET /v1/organizations/{organization_id}/usage", "", "usage"],
  ["OrganizationService/CreateApiKey", "POST /v1/organizations/{organization_id}/api-keys", "api_key", ""],
  ["OrganizationService/ListApiKeys", "GET /v1/organizations/{organization_id}/api-keys", "", ""],
  ["OrganizationService/RevokeApiKey", "DELETE /v1/organizations/{organization_id}/api-keys/{id}", "", ""],
  ["OrganizationService/CreatePortalToken", "POST /v1/organizations/{organization_id}/portal-tokens", "*", ""],
  ["AuditService/ListAuditEntries", "GET /v1/audit-entries", "", ""],
  ["AuditService/GetAuditEntry", "GET /v1/audit-entries/{id}", "", "audit_entry"],
];

test("the routes of the contract, with what is their body and their answer, are those that clients know", () => {
  const served = contractServices.flatMap((service) => readHttpBindings(service).map(ruleOf));
  expect(served.toSorted()).toEqual(rules.toSorted());
});

function ruleOf({ method, httpMethod, template, body, responseBody }: HttpBinding): string[] {
  const bodyName = typeof body === "object" ? body.name : (body ?? "");
  return [
    `${method.parent.name}/${method.name}`,
    `${httpMethod} ${template.source}`,
    bodyName,
    responseBody?.name ?? "",
  ];
}

import { parseId } from "../src/domain/ids.ts";
import type { RestClient } from "../test/support/rest-client.ts";
import { waitFor } from "../test/support/wait-for.ts";
import type { Receivers } from "./receivers.ts";
import { organizationCount, type Scenario, type ScenarioWebhook } from "./scenario.ts";

/** The organizations and the webhooks, as their owners make them: their ids by their numbers in the scenario. Resolves when every webhook gets events. */
export async function createWebhooks(
  rest: RestClient,
  scenario: Scenario,
  receivers: Receivers,
): Promise<{ organizationIds: string[]; webhookIds: string[] }> {
  const organizationIds: string[] = [];
  for (let number = 1; number <= organizationCount; number++) {
    const { id } = await rest<{ id: string }>("POST", "/v1/organizations", { name: `Chaos ${number}` });
    organizationIds.push(id);
  }
  const publicIds: string[] = [];
  for (const webhook of scenario.webhooks) {
    const body = webhookBody(webhook, organizationIds[webhook.organization] ?? "", receivers.urlOf(webhook));
    publicIds.push((await rest<{ webhook: { id: string } }>("POST", "/v1/webhooks", body)).webhook.id);
  }
  for (const id of publicIds) {
    await waitFor(() => isActive(rest, id), { what: `the webhook ${id} to be verified` });
  }
  // The tables have the UUIDs.
  return { organizationIds, webhookIds: publicIds.map((id) => parseId("webhook", id) ?? id) };
}

async function isActive(rest: RestClient, id: string): Promise<boolean> {
  const { status } = await rest<{ status: string }>("GET", `/v1/webhooks/${id}`);
  return status === "WEBHOOK_STATUS_ACTIVE";
}

function webhookBody(webhook: ScenarioWebhook, organizationId: string, url: string): Record<string, unknown> {
  const { name, eventTypes, retryDelaysMs, timeoutMs, isOrdered } = webhook;
  const seconds = (ms: number): string => `${ms / 1000}s`;
  return {
    organizationId,
    name,
    url,
    eventTypes,
    retryPolicy: { delays: retryDelaysMs?.map(seconds), timeout: timeoutMs && seconds(timeoutMs) },
    ...(isOrdered ? { ordering: "ORDERING_BY_KEY" } : {}),
  };
}

/** Whether a webhook gets events; see `WebhookStatus` of the contract for what each means. */
export type WebhookStatus = "UNVERIFIED" | "ACTIVE" | "PAUSED" | "DISABLED";

/** How a receiver proves that it wants to be called. */
export type VerificationMethod = "CHALLENGE" | "CLOUDEVENTS" | "VOUCHED" | "NONE";

/** Whether events with one ordering key wait for each other on their way to a webhook. */
export type Ordering = "NONE" | "BY_KEY";

/** Whether events find this webhook: a paused one still collects deliveries, for the time when it is resumed. */
export function collectsEvents(status: WebhookStatus): boolean {
  return status === "ACTIVE" || status === "PAUSED";
}

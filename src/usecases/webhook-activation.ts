import type { SqlEntityManager } from "@mikro-orm/sql";
import type { VerificationMethod } from "../domain/webhook.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import type { ChangeMarks } from "./changes.ts";

/** The columns that say whether a webhook gets events. */
export type Activation = Pick<Webhook, "status" | "statusReason" | "verifiedAt" | "verificationDueAt" | "activeSince">;

/**
 * How a webhook starts with a URL and a method that are new: ACTIVE where an operator vouches for the receiver or its format needs
 * no proof, else UNVERIFIED with its
 * verification due now.
 */
export function initialActivation(method: VerificationMethod, now: Date): Activation {
  if (method === "VOUCHED" || method === "NONE") return verifiedActivation(now);
  return {
    status: "UNVERIFIED",
    statusReason: "the receiver has not yet proved that it wants to be called",
    verifiedAt: null,
    verificationDueAt: now,
    activeSince: null,
  };
}

/** A receiver that has just proved, or been vouched for, that it wants to be called. */
export function verifiedActivation(now: Date): Activation {
  return { status: "ACTIVE", statusReason: "", verifiedAt: now, verificationDueAt: null, activeSince: now };
}

/** What waits for a webhook that has become ACTIVE again may start at once. */
export async function wakeLane(em: SqlEntityManager, webhookId: string, marks: ChangeMarks): Promise<void> {
  await em.execute("update lane set due_at = now() where webhook_id = ?", [webhookId]);
  marks.lanesDue();
}

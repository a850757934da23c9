import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import type { Webhook } from "../store/entities/webhook.ts";

/** Throws WEBHOOK_NOT_ACTIVE, with what to do about it, where the webhook is not ACTIVE. */
export function requireActive({ id, status }: Webhook): void {
  if (status === "ACTIVE") return;
  const fix = status === "UNVERIFIED" ? "verify it first (VerifyWebhook)" : "resume it first (ResumeWebhook)";
  throw new TellwireError("WEBHOOK_NOT_ACTIVE", `the webhook is ${status}: ${fix}`, {
    metadata: { webhook_id: publicId("webhook", id), status },
  });
}

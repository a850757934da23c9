import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import type { Webhook } from "../store/entities/webhook.ts";

/** Throws WEBHOOK_NOT_ACTIVE, with what to do about it, where the webhook is not ACTIVE. `what` it is, in the words of the call. */
export function requireActive({ id, status }: Webhook, what = "the webhook"): void {
  if (status === "ACTIVE") return;
  const fix = status === "UNVERIFIED" ? "verify it first (VerifyWebhook)" : "resume it first (ResumeWebhook)";
  throw new TellwireError("WEBHOOK_NOT_ACTIVE", `${what} is ${status}: ${fix}`, {
    metadata: { webhook_id: publicId("webhook", id), status },
  });
}

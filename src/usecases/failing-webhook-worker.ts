import { disableFailingWebhooks } from "../store/sql/disable-failing-webhooks.ts";
import { type BackgroundLoop, createBackgroundLoop } from "./background-loop.ts";
import type { Dependencies } from "./dependencies.ts";

/**
 * Disables webhooks whose attempts have done nothing but fail for as long as the configuration says. It looks every minute; that other
 * processes do it too changes nothing.
 */
export type FailingWebhookWorker = BackgroundLoop;

export function createFailingWebhookWorker({
  database: { sql },
  ids,
  log,
  disableAfterMs: afterMs,
}: Pick<Dependencies, "database" | "ids" | "log" | "disableAfterMs">): FailingWebhookWorker {
  return createBackgroundLoop({
    what: "disabling webhooks that only fail",
    log,
    intervalMs: 60_000,
    // The engine of this process hears of it as that of every other does: by the notification.
    step: async () => (await disableFailingWebhooks(sql, { now: ids.now(), afterMs, limit })) === limit,
  });
}

const limit = 100;

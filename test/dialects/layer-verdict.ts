import { waitFor } from "../support/wait-for.ts";
import type { DialectReply } from "./serve-dialect.ts";

/** What became of a webhook whose receiver was asked whether it agrees. */
export interface LayerVerdict {
  /** As Layer's API shows it. */
  webhook: DialectReply["body"];
  /** How often the receiver was asked at most. */
  rounds: number;
}

/**
 * Waits for the end of a verification. Layer gives a receiver one second, which also passes while this machine is busy with something else: one
 * that was not heard in time is asked again, by activating its webhook. `call` sends a request to the webhook's own path with this behind it.
 */
export async function layerVerdict(
  call: (method: string, rest: string) => Promise<DialectReply>,
): Promise<LayerVerdict> {
  let rounds = 1;
  const look = async (): Promise<LayerVerdict | undefined> => {
    const { body: webhook } = await call("GET", "");
    if (webhook.status === "unverified") return undefined;
    if (webhook.status === "inactive" && webhook.status_reason.includes("within 1000 ms")) {
      rounds += 1;
      await call("POST", "/activate");
      return undefined;
    }
    return { webhook, rounds };
  };
  return await waitFor(look, { what: "the end of the verification" });
}

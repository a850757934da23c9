import type { Receiver } from "../test/support/receiver.ts";
import { createRestClient } from "../test/support/rest-client.ts";
import type { TellwireProcess } from "../test/support/tellwire.ts";
import { waitFor } from "../test/support/wait-for.ts";

/** Creates a webhook, publishes an event, and waits until it is delivered. Answers with what went wrong; undefined where nothing did. */
export async function findOutWhetherItWorks(
  tellwire: TellwireProcess,
  receiver: Receiver,
): Promise<string | undefined> {
  try {
    const rest = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
    const { id: organizationId } = await rest<{ id: string }>("POST", "/v1/organizations", { name: "Afterwards" });
    const verification = { method: "VERIFICATION_METHOD_VOUCHED" };
    await rest("POST", "/v1/webhooks", { organizationId, url: receiver.url, eventTypes: ["after.all"], verification });
    const event = { organizationId, type: "after.all", data: { still: "here" } };
    const { eventId } = await rest<{ eventId: string }>("POST", "/v1/events", event);
    await waitFor(() => receiver.requests.some(({ headers }) => headers["webhook-id"] === eventId), {
      timeoutMs: 180_000,
      what: "the delivery after everything",
    });
    return undefined;
  } catch (error) {
    return `the service does not work any more: ${error instanceof Error ? error.message : error}`;
  }
}

import { afterEach, describe, expect, test } from "vitest";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, type TellwireSettings, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

export interface CrashParts {
  /** What the process is configured with beside the basics. */
  environment: Record<string, string>;
  close(): Promise<void>;
}

const eventCount = 1_000;
/** The process is killed when it has delivered the first of them, and no more than the most: the receiver holds the others up until then. */
const delivered = { first: 100, most: 600 };
const timeoutMs = 240_000;

/** What a SIGKILL in the middle of the work must not break, on every store and broker. */
export function describeCrash(parts: string, open: () => Promise<CrashParts>): void {
  describe(`a process that is killed, on ${parts}`, () => {
    const closing: (() => Promise<unknown>)[] = [];
    afterEach(async () => {
      for (const close of closing.splice(0).reverse()) {
        await close();
      }
    });

    test("loses none of 1,000 events, and leaves none stuck", { timeout: 2 * timeoutMs }, async () => {
      const { settings, receiver, killed } = await prepare();
      const first = await started(settings);
      const rest = createRestClient(first.httpUrl, first.operatorKey);
      const organizationId = await verifiedWebhook(rest, receiver);
      for (let sent = 0; sent < eventCount; sent += 250) {
        const events = Array.from({ length: 250 }, (_, index) => ({
          organizationId,
          type: "order.paid",
          id: `order-${sent + index}`,
          data: { number: sent + index },
        }));
        await waitFor(() => isTaken(rest("POST", "/v1/events:batch", { events })), {
          what: "the broker to take events",
        });
      }
      await waitFor(() => numbersOf(receiver).size >= delivered.first, { timeoutMs, what: "the first deliveries" });
      await first.kill();
      const beforeKill = numbersOf(receiver).size;
      expect(beforeKill).toBeLessThan(eventCount);
      killed();

      const second = await started(settings);
      const again = createRestClient(second.httpUrl, second.operatorKey);
      await waitFor(() => numbersOf(receiver).size === eventCount, { timeoutMs, what: "every event" });
      await waitFor(async () => (await countOf(again, organizationId, "SCHEDULED")) === 0, { timeoutMs });
      await waitFor(async () => (await countOf(again, organizationId, "DELIVERED")) === eventCount, { timeoutMs });
      const twice = receiver.requests.filter(({ method }) => method === "POST").length - eventCount;
      // What was under way at the kill may be sent a second time, and nothing else.
      expect(twice).toBeLessThanOrEqual(beforeKill + 64);
    });

    async function prepare(): Promise<{ settings: TellwireSettings; receiver: Receiver; killed: () => void }> {
      const { environment, close } = await open();
      closing.push(close);
      const { promise: kill, resolve: killed } = Promise.withResolvers<void>();
      const receiver = await startReceiver(async (request, index) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (index >= delivered.most) await kill;
        return echoChallenge(request);
      });
      closing.push(() => receiver.close());
      const settings = tellwireSettings({ TELLWIRE_CONCURRENCY_PER_WEBHOOK: "8", ...environment });
      return { settings, receiver, killed };
    }

    async function started(settings: TellwireSettings): Promise<TellwireProcess> {
      const tellwire = await startTellwire(settings);
      closing.push(() => tellwire.kill());
      return tellwire;
    }
  });
}

/** False where the broker did not answer in time: then a publisher tries again, and the events' ids keep them from coming twice. */
async function isTaken(publishing: Promise<unknown>): Promise<boolean> {
  return await publishing.then(
    () => true,
    (error: unknown) => {
      if (String(error).includes("BROKER_UNAVAILABLE")) return false;
      throw error;
    },
  );
}

/** The numbers of the events that have arrived. */
function numbersOf(receiver: Receiver): Set<number> {
  const posts = receiver.requests.filter(({ method }) => method === "POST");
  return new Set(posts.map(({ body }) => (JSON.parse(body) as { data: { number: number } }).data.number));
}

async function verifiedWebhook(rest: RestClient, receiver: Receiver): Promise<string> {
  const { id: organizationId } = await rest<{ id: string }>("POST", "/v1/organizations", { name: "Crash" });
  const webhook = { organizationId, url: receiver.url, eventTypes: ["order.*"] };
  const { webhook: created } = await rest<{ webhook: { id: string } }>("POST", "/v1/webhooks", webhook);
  await waitFor(async () => {
    const { status } = await rest<{ status: string }>("GET", `/v1/webhooks/${created.id}`);
    return status === "WEBHOOK_STATUS_ACTIVE";
  });
  return organizationId;
}

async function countOf(rest: RestClient, organizationId: string, status: string): Promise<number> {
  let count = 0;
  let pageToken = "";
  do {
    const query = new URLSearchParams({
      organizationId,
      statuses: `DELIVERY_STATUS_${status}`,
      pageSize: "200",
      pageToken,
    });
    const page = await rest<{ deliveries?: unknown[]; nextPageToken?: string }>("GET", `/v1/deliveries?${query}`);
    count += page.deliveries?.length ?? 0;
    pageToken = page.nextPageToken ?? "";
  } while (pageToken !== "");
  return count;
}

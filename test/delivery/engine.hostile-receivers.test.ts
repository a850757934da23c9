import { expect, test } from "vitest";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { Database } from "../../src/store/database.ts";
import {
  addOrganization,
  addWebhook,
  attemptsOf,
  createTestEngine,
  deliveriesOf,
  newEvent,
} from "../support/engine.ts";
import { startHostileReceivers } from "../support/hostile-receivers.ts";
import { memoryInUse } from "../support/memory-in-use.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { startReceiver } from "../support/receiver.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";

let database: Database;

withOwnDatabase({ maxConnections: 16 }, (own) => {
  database = own;
});

test("beside all hostile receivers at once, a healthy webhook's deliveries go on, and the memory stays bounded", async () => {
  const broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  const hostile = await startHostileReceivers();
  const healthy = await startReceiver();
  const { engine, failures, stop } = createTestEngine({ database, broker, limits: { budgetMs: 500 } });
  const [hostileOrganization, organization] = [await addOrganization(database), await addOrganization(database)];
  const retry = { retryDelaysMs: [100, 200, 400, 800, 1600], timeoutMs: 1_500 };
  const bad = await Promise.all(
    hostile.receivers.flatMap(({ url }) =>
      Array.from({ length: 2 }, () => addWebhook(database, hostileOrganization, { url, ...retry })),
    ),
  );
  const { webhook } = await addWebhook(database, organization, { url: healthy.url });
  await engine.start();
  const publish = (organizationId: string, count: number) =>
    broker.publish(
      Array.from({ length: count }, () => {
        const dataJson = `{"at":${Date.now()},"text":"${"x".repeat(2_000)}"}`;
        return encodeEventMessage(newEvent(organizationId, { dataJson }));
      }),
    );

  await publish(hostileOrganization, 4);
  await waitFor(() => hostile.receivers.every(({ misbehaviour }) => hostile.connections(misbehaviour) > 0), {
    what: "a request to each hostile receiver",
  });
  const before = await memoryInUse();
  for (let round = 1; round <= 10; round += 1) {
    await publish(hostileOrganization, 1);
    await publish(organization, 20);
    await waitFor(() => healthy.requests.length >= round * 20, { what: "the healthy deliveries" });
  }
  const delays = healthy.requests.map(({ body, receivedAt }) => receivedAt - JSON.parse(body).data.at);
  // What was under way when the machine stood still for a moment came later.
  expect(delays.filter((delay) => delay >= 15_000).length).toBeLessThan(delays.length / 5);
  expect((await memoryInUse()) - before).toBeLessThan(64);

  await waitFor(
    async () => {
      const deliveries = await deliveriesOf(database, webhook.id);
      return deliveries.length === 200 && deliveries.every(({ status }) => status === "DELIVERED");
    },
    { what: "all healthy deliveries on record" },
  );
  expect(failures).toEqual([]);
  await stop();

  // What a hostile receiver did is on record as its own attempts; one that answers a 2xx and misbehaves afterwards has received.
  for (const { webhook: each } of bad) {
    const deliveries = await deliveriesOf(database, each.id);
    expect(deliveries.length, each.url).toBeGreaterThan(0);
    for (const { id } of deliveries.slice(0, 3)) {
      for (const attempt of await attemptsOf(database, id)) {
        expect(attempt.responseBody.length).toBeLessThanOrEqual(16_384);
        // Those that drip would go on for half an hour.
        expect(attempt.latencyMs).toBeLessThan(retry.timeoutMs + 20_000);
      }
    }
  }
  await Promise.all([hostile.close(), healthy.close(), broker.close()]);
});

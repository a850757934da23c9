import { afterEach, beforeEach, expect, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { BacklogPace } from "../../src/delivery/backlog-pace.ts";
import type { EngineState } from "../../src/delivery/engine.ts";
import type { Database } from "../../src/store/database.ts";
import { addOrganization, addWebhook, createTestEngine, newEvent } from "../support/engine.ts";
import { openPostgresSite } from "../support/postgres-site.ts";
import { startReceiver } from "../support/receiver.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";
import { watched } from "./watched-sql.ts";

let database: Database;
let broker: Broker;
let organizationId: string;
const closing: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  const site = await openPostgresSite({ maxConnections: 16 });
  closing.push(site.close);
  ({ database, broker } = site);
  organizationId = await addOrganization(database);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test("what is late waits in its lane until the backlog has time, and holds up nothing that has just come in another one", async () => {
  const retried = await failingFirst();
  // A webhook with a rate limit is served by its lane alone.
  const limited = await receiver(() => ({ status: 204 }));
  await addWebhook(database, organizationId, { url: retried.url, eventTypes: ["late"], retryDelaysMs: [600] });
  const rateLimit = { rateLimitCount: 100, rateLimitPeriodMs: 1_000 };
  await addWebhook(database, organizationId, { url: limited.url, eventTypes: ["fresh"], ...rateLimit });
  const { pace, asked, states } = await started();
  for (let event = 0; event < 5; event++) await publish("late");
  await waitFor(() => retried.requests.length === 5, { what: "the first attempts" });
  expect(pace).toMatchObject({ fresh: 5, begun: 0 });
  await waitFor(() => pace.refused > 0, { what: "the retries to ask for their turn" });
  await publish("fresh");
  await waitFor(() => limited.requests.length === 1, { what: "the delivery that has just come" });
  expect(pace).toMatchObject({ fresh: 6, begun: 0, grown: 6 });
  await waitFor(() => states.at(-1)?.heldBack === 1, { what: "the state to tell of the webhook that waits" });
  const askedBefore = asked();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(retried.requests).toHaveLength(5);
  expect(asked() - askedBefore, "what waits is not read again and again").toBeLessThan(5);

  pace.isOpen = true;
  await waitFor(() => retried.requests.length === 10, { what: "the retries" });
  expect(pace).toMatchObject({ fresh: 6, begun: 5 });
  await waitFor(() => states.at(-1)?.heldBack === 0, { what: "the state to tell that nobody waits" });
});

/** Everything is late half a second after it came. */
async function started() {
  const pace = handPace();
  let asked = 0;
  const states: EngineState[] = [];
  const sql = watched(database.sql, {
    "due-deliveries": async () => {
      asked += 1;
    },
  });
  const own = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  const { engine, stop } = createTestEngine({
    database: { ...database, sql },
    broker: own,
    limits: { backlogAgeMs: 500 },
    backlogPace: pace,
    observer: { state: (state) => void states.push(state) },
  });
  closing.push(async () => {
    await stop(1_000);
    await own.close();
  });
  await engine.start();
  return { pace, asked: () => asked, states };
}

/** Lets nothing of the backlog begin until it is opened, and counts what it is told of. */
function handPace() {
  const pace = {
    isOpen: false,
    refused: 0,
    begun: 0,
    fresh: 0,
    grown: 0,
    mayBegin() {
      pace.refused += pace.isOpen ? 0 : 1;
      return pace.isOpen;
    },
    began() {
      pace.begun += 1;
    },
    freshBegan() {
      pace.fresh += 1;
    },
    grew(deliveries: number) {
      pace.grown += deliveries;
    },
  };
  return pace satisfies BacklogPace;
}

async function failingFirst() {
  const tried = new Set<unknown>();
  return await receiver(({ headers: { "webhook-id": id } }) => {
    const isFirst = !tried.has(id);
    tried.add(id);
    return { status: isFirst ? 400 : 204 };
  });
}

async function receiver(respond: Parameters<typeof startReceiver>[0]) {
  const opened = await startReceiver(respond);
  closing.push(() => opened.close());
  return opened;
}

async function publish(type: string): Promise<void> {
  await broker.publish([encodeEventMessage(newEvent(organizationId, { type }))]);
}

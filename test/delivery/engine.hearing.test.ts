import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { Database } from "../../src/store/database.ts";
import type { Sql } from "../../src/store/sql.ts";
import { addOrganization, addWebhook, createTestEngine, deliveriesOf, newEvent } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";

let url: string;
/** Of another process, where webhooks are changed. */
let other: Database;
const closing: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  url = (await opened(await createTestDatabase(), ({ drop }) => drop())).url;
  other = await opened(await openTestPostgres(url, { maxConnections: 4 }), ({ close }) => close());
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test("an event goes to the webhook that another process made right before it, and no question is asked for that", async () => {
  await awayFromMidnight();
  const receiver = await opened(await startReceiver(), (each) => each.close());
  const database = await opened(await openTestPostgres(url, { maxConnections: 10 }), ({ close }) => close());
  const organizationId = await addOrganization(other);
  const broker = await opened(await openPostgresBroker(database.sql, { log: silentBrokerLog }), (each) => each.close());
  let asked = 0;
  const sql = countingQuestions(database.sql, () => {
    asked += 1;
  });
  const { engine } = await opened(createTestEngine({ database: { ...database, sql }, broker }), ({ stop }) => stop());
  await engine.start();
  for (let round = 1; round <= 30; round++) {
    const { webhook } = await addWebhook(other, organizationId, { url: receiver.url });
    await other.sql.query({ name: "", text: "select pg_notify('tellwire_webhooks', $1)" }, [organizationId]);
    await broker.publish([encodeEventMessage(newEvent(organizationId), "tellwire")]);
    await waitFor(async () => (await deliveriesOf(database, webhook.id)).length === 1, { what: `delivery ${round}` });
  }
  expect(asked).toBe(0);
});

/** At midnight events are written by other statements, which hear nothing. */
async function awayFromMidnight(): Promise<void> {
  const dayMs = 24 * 60 * 60_000;
  const isNear = (): boolean => (Date.now() + 90_000) % dayMs < 160_000;
  while (isNear()) await delay(1_000);
}

async function opened<Thing>(thing: Thing, close: (thing: Thing) => Promise<unknown>): Promise<Thing> {
  closing.push(() => close(thing));
  return thing;
}

function countingQuestions(sql: Sql, onAsked: () => void): Sql {
  return {
    ...sql,
    async listen(...listening) {
      const stop = await sql.listen(...listening);
      const caughtUp = async (): Promise<void> => {
        onAsked();
        await stop.caughtUp();
      };
      return Object.assign(() => stop(), { caughtUp, isListening: stop.isListening });
    },
  };
}

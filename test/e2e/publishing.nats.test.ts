import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { Webhook as Verifier } from "standardwebhooks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type PrivateNats, patienceMs, startNats } from "../support/nats.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

let nats: PrivateNats;
let connection: NatsConnection;
let database: TestDatabase;
let tellwire: TellwireProcess;
let receiver: Receiver;
let rest: RestClient;
let organizationId: string;
let secret: string;

beforeAll(async () => {
  [nats, database] = await Promise.all([startNats(), createTestDatabase()]);
  const settings = tellwireSettings({ TELLWIRE_DATABASE_URL: database.url, TELLWIRE_NATS_URL: nats.url });
  tellwire = await startTellwire(settings);
  connection = await connect({ servers: nats.url, timeout: patienceMs });
  receiver = await startReceiver(echoChallenge);
  rest = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  ({ id: organizationId } = await rest<{ id: string }>("POST", "/v1/organizations", { name: "Publisher" }));
  const webhook = { organizationId, url: receiver.url, eventTypes: ["invoice.*"] };
  type Created = { webhook: { id: string }; signingSecret: string };
  const created = await rest<Created>("POST", "/v1/webhooks", webhook);
  secret = created.signingSecret;
  await waitFor(async () => (await rest("POST", `/v1/webhooks/${created.webhook.id}:verify`, {})).verified, {
    what: "the receiver's consent",
  });
});
afterAll(async () => {
  await connection?.close();
  await receiver?.close();
  await tellwire?.stop();
  await nats?.stop();
  await database?.drop();
});

const posts = () => receiver.requests.filter(({ method }) => method === "POST");

test("an event that the plain NATS client publishes arrives signed, and one changed byte is noticed", async () => {
  const data = '{"amount": 12.50, "id":"in_1"}';
  connection.publish(`tellwire.events.${organizationId}.invoice.paid`, data);
  const request = await waitFor(() => posts()[0]);
  const signed = request.headers as Record<string, string>;
  expect(new Verifier(secret).verify(request.body, signed)).toMatchObject({ type: "invoice.paid" });
  expect(request.body, "the data as the publisher wrote it").toContain(`"data":${data}`);
  for (const at of [0, Math.floor(request.body.length / 2), request.body.length - 1]) {
    const changed = `${request.body.slice(0, at)}~${request.body.slice(at + 1)}`;
    expect(() => new Verifier(secret).verify(changed, signed)).toThrow();
  }
});

test("headers name the event, and publishing it again delivers nothing again", async () => {
  const before = posts().length;
  const js = jetstream(connection, { timeout: patienceMs });
  const named = headers();
  named.set("Nats-Msg-Id", "invoice-77");
  named.set("ce-time", "2026-01-02T03:04:05.678Z");
  const uuid = (await rest<{ id: string }>("GET", `/v1/organizations/${organizationId}`)).id;
  await js.publish(`tellwire.events.${uuid}.invoice.sent`, "{}", { headers: named });
  await waitFor(() => posts().length === before + 1);
  const other = headers();
  other.set("ce-id", "invoice-77");
  await js.publish(`tellwire.events.${uuid}.invoice.sent`, "{}", { headers: other });
  await js.publish(`tellwire.events.${uuid}.invoice.sent`, "{}");
  await waitFor(() => posts().length === before + 2);
  const request = posts()[before];
  expect(JSON.parse(request?.body ?? "")).toMatchObject({ timestamp: "2026-01-02T03:04:05.678Z" });
  const event = await rest("GET", `/v1/events/invoice-77?organizationId=${organizationId}`);
  expect(event).toMatchObject({ id: request?.headers["webhook-id"], externalId: "invoice-77", type: "invoice.sent" });
});

test("what cannot be understood stands under tellwire.rejected with the reason, and is counted", async () => {
  const before = posts().length;
  connection.publish(`tellwire.events.${organizationId}.invoice.paid`, "not json");
  connection.publish("tellwire.events.nobody.invoice.paid", "{}");
  connection.publish(`tellwire.events.${organizationId}.invoice.last`, "{}");
  await waitFor(() => posts().length === before + 1);
  const manager = await jetstreamManager(connection, { timeout: patienceMs });
  const reasons = await waitFor(async () => {
    const { state } = await manager.streams.info("TELLWIRE_REJECTED");
    if (state.messages < 2) {
      return undefined;
    }
    const messages = await Promise.all([1, 2].map((seq) => manager.streams.getMessage("TELLWIRE_REJECTED", { seq })));
    return messages.map((message) => [message?.subject, message?.header.get("Tellwire-Reject-Reason")]);
  });
  // Either may be the first one.
  expect(Object.fromEntries(reasons)).toEqual({
    [`tellwire.rejected.events.${organizationId}.invoice.paid`]: "BAD_JSON",
    "tellwire.rejected.events.nobody.invoice.paid": "BAD_SUBJECT",
  });
  const metrics = async () => await (await fetch(`${tellwire.httpUrl}/metrics`)).text();
  for (const reason of ["BAD_JSON", "BAD_SUBJECT"]) {
    const line = `tellwire_events_rejected_total{reason="${reason}"} 1\n`;
    await waitFor(async () => (await metrics()).includes(line), { what: line });
  }
});

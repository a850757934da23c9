import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import fc from "fast-check";
import { mutated } from "../arbitrary/bytes.ts";
import { edgeJsonText, hostileText, mostly, plainJson } from "../arbitrary/values.ts";
import { type Answer, type Door, makeDoor } from "../door.ts";
import type { World } from "../world.ts";

interface NatsMessage {
  subject: string;
  headers: [name: string, value: string][];
  body: Uint8Array;
}

/** Messages on the subjects of events: other subjects, headers, bodies, CloudEvents. Nobody answers: what becomes of them is seen in the log. */
export async function natsDoor(natsUrl: string, world: World): Promise<Door> {
  const connection = await connect({ servers: natsUrl });
  return makeDoor({
    name: "nats",
    requests: () => messages(world),
    send: (message) => publish(connection, message),
    close: () => connection.close(),
  });
}

function messages(world: World): fc.Arbitrary<NatsMessage> {
  const cloudEvents = fc.constantFrom(
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/json",
  );
  const header = fc.tuple(
    mostly(
      fc.constantFrom(
        "ce-id",
        "Nats-Msg-Id",
        "ce-time",
        "ce-subject",
        "ce-source",
        "ce-type",
        "tellwire-project",
        "tellwire-ordering-key",
        "traceparent",
      ),
      fc.constantFrom("x", "Nats-Rollup", "Nats-Expected-Stream", "__proto__", "constructor"),
    ),
    mostly(fc.string({ maxLength: 12 }), hostileText),
  );
  return fc.record({
    subject: subject(world),
    headers: fc
      .tuple(fc.array(header, { maxLength: 4 }), fc.option(cloudEvents, { nil: undefined, freq: 3 }))
      .map(([list, type]) => (type === undefined ? list : [...list, ["content-type", type] as [string, string]])),
    body: fc.oneof(
      plainJson.map((json) => Buffer.from(JSON.stringify(json))),
      edgeJsonText.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 60 }),
      cloudEvent,
      mutated(cloudEvent),
      fc.constantFrom(262_143, 262_145, 900_000).map((length) => Buffer.from(JSON.stringify("x".repeat(length)))),
    ),
  });
}

function subject(world: World): fc.Arbitrary<string> {
  const token = hostileText.map((text) => text.replaceAll(/[\s.*>\0]|[^\x21-\x7e]/g, "_").slice(0, 200) || "_");
  const organization = mostly(fc.constantFrom(...world.organizations), token);
  const type = mostly(fc.constantFrom("fuzz.seen", "kind.1", "a.b.c"), token);
  return fc.tuple(organization, type).map(([owner, rest]) => `tellwire.events.${owner}.${rest}`);
}

const cloudEvent = fc
  .record(
    {
      specversion: mostly(fc.constant("1.0"), fc.constantFrom("0.3", "", 1)),
      id: mostly(fc.string({ minLength: 1, maxLength: 8 }), hostileText),
      source: mostly(fc.constant("/fuzz"), hostileText),
      type: mostly(fc.constant("fuzz.seen"), hostileText),
      time: mostly(fc.constant("2026-01-01T00:00:00Z"), hostileText),
      subject: hostileText,
      datacontenttype: fc.constantFrom("application/json", "text/plain", ""),
      data: plainJson,
      data_base64: fc.constantFrom("e30=", "e30", "%%", "/w=="),
    },
    { requiredKeys: ["specversion", "id", "source", "type"] },
  )
  .map((event) => Buffer.from(JSON.stringify(event)));

async function publish(connection: NatsConnection, { subject: to, headers: list, body }: NatsMessage): Promise<Answer> {
  try {
    const fields = headers();
    for (const [name, value] of list) fields.append(name, value);
    connection.publish(to, body, { headers: fields });
  } catch {
    // The client itself refuses some names and values.
    return { label: "not sent" };
  }
  // What the server has taken bounds how far the publisher runs ahead.
  await connection.flush();
  return { label: "sent" };
}

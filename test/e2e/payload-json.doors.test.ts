import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EventService } from "../../gen/tellwire/v1/event_service_pb.ts";
import { createGrpcJsClient, type GrpcJsClient } from "../support/grpc-js-client.ts";
import { type PrivateNats, patienceMs, startNats } from "../support/nats.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

let nats: PrivateNats;
let connection: NatsConnection;
let database: TestDatabase;
let tellwire: TellwireProcess;
let receiver: Receiver;
let grpc: GrpcJsClient<typeof EventService>;
let organizationId: string;

beforeAll(async () => {
  [nats, database, receiver] = await Promise.all([startNats(), createTestDatabase(), startReceiver()]);
  tellwire = await startTellwire(
    tellwireSettings({ TELLWIRE_DATABASE_URL: database.url, TELLWIRE_NATS_URL: nats.url }),
  );
  connection = await connect({ servers: nats.url, timeout: patienceMs });
  grpc = createGrpcJsClient(EventService, tellwire.grpcUrl, { "x-api-key": tellwire.operatorKey });
  const rest = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  ({ id: organizationId } = await rest<{ id: string }>("POST", "/v1/organizations", { name: "Texts" }));
  const verification = { method: "VERIFICATION_METHOD_VOUCHED" };
  await rest("POST", "/v1/webhooks", { organizationId, url: receiver.url, eventTypes: ["*"], verification });
});
afterAll(async () => {
  // Whatever a publisher writes, it is no failure of the server's.
  expect(tellwire?.output() ?? "").not.toContain('"level":"error"');
  grpc?.[Symbol.dispose]();
  await connection?.close();
  await tellwire?.stop();
  await receiver?.close();
  await nats?.stop();
  await database?.drop();
});

const refused = Symbol("refused");
type Outcome = string | typeof refused;

/** Doors that take the data as text: what is taken arrives byte for byte. */
const textDoors: Record<string, (type: string, data: Buffer) => Promise<Outcome>> = {
  "data_json by gRPC": async (type, dataJson) =>
    await arrived(type, grpc.publishEvent({ event: { organizationId, type, dataJson } })),
  async "the body of a NATS message"(type, data) {
    return await arrivedByNats(type, data, {});
  },
  async "a CloudEvent by NATS"(type, data) {
    const head = `{"specversion":"1.0","id":"${type}","source":"/test","type":"${type}","data":`;
    const body = Buffer.concat([Buffer.from(head), data, Buffer.from("}")]);
    return await arrivedByNats(type, body, { "content-type": "application/cloudevents+json" });
  },
};

/** Doors that take it as a member of their own JSON: what is taken arrives as the same value. */
const jsonDoors: Record<string, (type: string, data: Buffer) => Promise<Outcome>> = {
  REST: (type, data) => arrived(type, post("/v1/events", eventWith(type, data))),
  "Connect JSON": (type, data) =>
    arrived(type, post("/tellwire.v1.EventService/PublishEvent", enclosed('{"event":', eventWith(type, data)))),
};

const depth = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
const objects = (levels: number): string => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;

/** A text, what the text doors make of it, and what the JSON doors make of it. `same`: those bytes. */
const same = Symbol("same");
const texts: [
  name: string,
  text: string | Buffer,
  byText: typeof same | typeof refused,
  byJson: Outcome | typeof same,
][] = [
  ["a number", "7", same, same],
  ["a text", '"x"', same, same],
  ["true", "true", same, same],
  ["null", "null", same, same],
  ["spaces", ' { "a" : 1 } ', same, '{"a":1}'],
  ["escapes", '"\\u00e9\\/"', same, '"é/"'],
  ["zeros at the end of a number", "1.50", same, "1.5"],
  ["an exponent", "1e2", same, "100"],
  ["names that are whole numbers", '{"b":1,"2":2}', same, '{"2":2,"b":1}'],
  ["a name that stands twice", '{"a":1,"a":2}', same, refused],
  ["a name that stands twice deep down", '[{"x":{"a":1,"\\u0061":2}}]', same, refused],
  ["64 levels of arrays", depth(64), same, same],
  ["64 levels of objects", objects(64), same, same],
  ["65 levels", depth(65), refused, refused],
  ["10,000 levels of arrays", depth(10_000), refused, refused],
  ["10,000 levels of objects", objects(10_000), refused, refused],
  ["100,000 brackets that stay open", "[".repeat(100_000), refused, refused],
  ["a number beyond a double", "1e400", same, refused],
  ["a number that a double takes for 0", "1e-400", same, refused],
  ["2^53 + 1", "[9007199254740993]", same, refused],
  ["2^53", "[9007199254740992]", same, same],
  ["a fraction of 40 digits", "0.1000000000000000055511151231257827021181", same, refused],
  ["half of a surrogate pair", '"\\ud800"', same, same],
  ["half of a surrogate pair as a name", '{"\\udfff":1}', same, same],
  ["__proto__ and constructor", '{"__proto__":{"polluted":true},"constructor":{"prototype":1}}', same, same],
  ["U+0000 as an escape", '{"\\u0000":"\\u0000"}', same, same],
  ["U+0000 as it is", '"\u0000"', refused, refused],
  ["a byte order mark", "\ufeff{}", refused, refused],
  ["bytes that are no UTF-8", Buffer.from([0x22, 0xff, 0x22]), refused, refused],
  ["half of a surrogate pair in bytes", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), refused, refused],
  ["an emoji cut in two by what quotes it", '"😀😀😀😀😀😀😀😀😀😀', refused, refused],
  ["a comment", "{} // nothing", refused, refused],
  ["a comma at the end", "[1,]", refused, refused],
  ["single quotes", "{'a':1}", refused, refused],
  ["NaN", "NaN", refused, refused],
  ["nothing", "", refused, refused],
  ["two values", "{}{}", refused, refused],
];

let events = 0;

test.each(texts)("%s: what arrives is what was published, or it is refused", async (_name, text, byText, byJson) => {
  const data = Buffer.from(text as string);
  const outcomeOf = async (doors: typeof textDoors) =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(doors).map(async ([name, publish]) => [name, await publish(`t${++events}`, data)] as const),
      ),
    );
  const all = (doors: typeof textDoors, outcome: Outcome | typeof same) =>
    Object.fromEntries(Object.keys(doors).map((name) => [name, outcome === same ? data.toString() : outcome]));
  // Spaces around a member's value are not part of it.
  const expected = all(textDoors, byText);
  if (byText === same) expected["a CloudEvent by NATS"] = data.toString().trim();
  expect(await outcomeOf(textDoors)).toEqual(expected);
  expect(await outcomeOf(jsonDoors)).toEqual(all(jsonDoors, byJson));
});

test("a value of protobuf arrives as the same value by gRPC, and 64 levels deep", async () => {
  const values: JsonValue[] = [{ a: [1, null, "é"] }, 9007199254740992, JSON.parse(objects(64)) as JsonValue];
  for (const value of values) {
    const type = `t${++events}`;
    const data = fromJson(ValueSchema, value);
    const outcome = await arrived(type, grpc.publishEvent({ event: { organizationId, type, data } }));
    expect(JSON.parse(String(outcome))).toEqual(value);
  }
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])(
  "the number %d, which JSON does not have, is refused by gRPC",
  async (value) => {
    const data = { kind: { case: "numberValue", value } } as const;
    await expect(grpc.publishEvent({ event: { organizationId, type: "t", data } })).rejects.toMatchObject({ code: 3 });
  },
);

test("10,000 levels of protobuf's own lists are refused by gRPC, and bytes that are no message", async () => {
  // Field 5 of Event is data, field 6 of Value its list, field 1 of a list its values: written from the inside out.
  let bytes: Buffer = Buffer.alloc(0);
  for (let level = 0; level < 10_000; level++) bytes = field(6, field(1, bytes));
  const event = Buffer.concat([field(4, Buffer.from("t")), field(5, bytes)]);
  expect(await postBinary(field(1, event))).toMatchObject({ status: 400, reason: "MALFORMED_REQUEST" });
  expect(await postBinary(Buffer.from([0xff, 0xff]))).toMatchObject({ status: 400, reason: "MALFORMED_REQUEST" });
});

function field(number: number, content: Buffer): Buffer {
  const length: number[] = [];
  for (let left = content.length; ; left >>>= 7) {
    length.push(left > 0x7f ? (left & 0x7f) | 0x80 : left);
    if (left <= 0x7f) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), content]);
}

async function postBinary(body: Buffer): Promise<{ status: number; reason: string | undefined }> {
  const response = await fetch(`${tellwire.httpUrl}/tellwire.v1.EventService/PublishEvent`, {
    method: "POST",
    headers: { "content-type": "application/proto", "x-api-key": tellwire.operatorKey },
    body: new Uint8Array(body),
  });
  const { details } = (await response.json()) as { details?: { debug?: { reason?: string }; value?: string }[] };
  const reason = Buffer.from(details?.[0]?.value ?? "", "base64").toString("latin1");
  return { status: response.status, reason: /[A-Z_]{4,}/.exec(reason)?.[0] };
}

function eventWith(type: string, data: Buffer): Buffer {
  return enclosed(`{"organizationId":"${organizationId}","type":"${type}","data":`, data);
}

function enclosed(before: string, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from(before), content, Buffer.from("}")]);
}

async function post(path: string, body: Buffer): Promise<void> {
  const headers = { "content-type": "application/json", "x-api-key": tellwire.operatorKey };
  const response = await fetch(`${tellwire.httpUrl}${path}`, { method: "POST", headers, body: new Uint8Array(body) });
  const text = await response.text();
  if (!response.ok) throw Object.assign(new Error(text), { code: response.status });
}

/** The data as the receiver got it, as text. */
async function arrived(type: string, publishing: Promise<unknown>): Promise<Outcome> {
  try {
    await publishing;
  } catch (error) {
    // An invalid argument, in the words of gRPC and of HTTP.
    expect([3, 400], String(error)).toContain((error as { code?: unknown }).code);
    return refused;
  }
  return await waitFor(() => dataOf(type), { what: `the event ${type}` });
}

async function arrivedByNats(type: string, body: Buffer, fields: Record<string, string>): Promise<Outcome> {
  const natsHeaders = headers();
  for (const [name, value] of Object.entries(fields)) natsHeaders.set(name, value);
  connection.publish(`tellwire.events.${organizationId}.${type}`, body, { headers: natsHeaders });
  const { streams } = await jetstreamManager(connection, { timeout: patienceMs });
  const subject = `tellwire.rejected.events.${organizationId}.${type}`;
  return await waitFor(
    async () => {
      const rejected = await streams.getMessage("TELLWIRE_REJECTED", { last_by_subj: subject });
      return rejected === null ? dataOf(type) : refused;
    },
    { what: `the event ${type}` },
  );
}

function dataOf(type: string): string | undefined {
  const body = receiver.requests.find((request) => request.body.startsWith(`{"type":"${type}",`))?.body;
  return body?.slice(body.indexOf('"data":') + '"data":'.length, -1);
}

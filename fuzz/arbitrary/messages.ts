import { type DescField, type DescMessage, type JsonObject, type JsonValue, ScalarType } from "@bufbuild/protobuf";
import fc from "fast-check";
import type { World } from "../world.ts";
import { edgeInteger, edgeJsonText, hostileText, mostly, plainJson } from "./values.ts";

/**
 * A message as its JSON, whose every value has the type of its field: fields that an RPC cannot do without are mostly there, ids mostly name
 * something of the world, and some values break the field's rules.
 */
export function messageJson(message: DescMessage, world: World, depth = 4): fc.Arbitrary<JsonObject> {
  const fields = message.fields.filter((field) => field.message === undefined || depth > 0);
  const groups = Map.groupBy(fields, (field) => field.oneof ?? field);
  const parts = [...groups.values()].map((members) =>
    fc.option(
      fc
        .constantFrom(...members)
        .chain((field) => fieldJson(field, world, depth).map((json) => ({ [field.name]: json }))),
      { nil: {}, freq: isWanted(members[0]) ? 12 : 1 },
    ),
  );
  return fc.tuple(...parts).map((members) => Object.assign({}, ...members) as JsonObject);
}

/** Without these nearly every request is refused for the same reason. */
function isWanted(field: DescField | undefined): boolean {
  const wanted = ["id", "organization_id", "webhook_id", "webhook", "event", "events", "organization", "api_key"];
  return [...wanted, "url", "event_types", "type", "data", "scope", "since_time", "imports", "signing_secret"].includes(
    field?.name ?? "",
  );
}

function fieldJson(field: DescField, world: World, depth: number): fc.Arbitrary<JsonValue> {
  if (field.fieldKind === "list") {
    const most = fc.array(valueJson(field, world, depth - 1), { maxLength: 3 });
    const many = valueJson(field, world, 0).map((value) => Array.from({ length: 1_002 }, () => value));
    return fc.oneof({ arbitrary: most, weight: 60 }, { arbitrary: many, weight: 1 });
  }
  if (field.fieldKind === "map") {
    const name = mostly(fc.constantFrom("x-shop", "authorization", "X-Api-Key", "cookie", "host"), hostileText);
    return fc.dictionary(name, mostly(fc.string({ maxLength: 8 }), hostileText), { maxKeys: 25 });
  }
  return valueJson(field, world, depth);
}

function valueJson(field: DescField, world: World, depth: number): fc.Arbitrary<JsonValue> {
  if (field.enum !== undefined) {
    const known = fc.constantFrom<JsonValue[]>(...field.enum.values.map(({ name }) => name));
    return mostly(known, fc.integer({ min: -3, max: 300 }));
  }
  if (field.message !== undefined) return wellKnownJson(field.message) ?? messageJson(field.message, world, depth - 1);
  switch (field.scalar) {
    case ScalarType.STRING:
      return mostly(knownText(field, world), hostileText);
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return mostly(
        plainJson.map((json) => Buffer.from(JSON.stringify(json)).toString("base64")),
        fc.oneof(
          edgeJsonText.map((text) => Buffer.from(text).toString("base64")),
          fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("base64")),
        ),
      );
    case ScalarType.INT64:
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
    default:
      return edgeInteger;
  }
}

function wellKnownJson(message: DescMessage): fc.Arbitrary<JsonValue> | undefined {
  switch (message.typeName) {
    case "google.protobuf.Timestamp":
      return fc.oneof(
        fc
          .date({ min: new Date("2025-01-01"), max: new Date("2027-01-01"), noInvalidDate: true })
          .map((date) => date.toISOString()),
        fc.constantFrom("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1970-01-01T00:00:00Z"),
      );
    case "google.protobuf.Duration":
      return fc.oneof(
        fc.integer({ min: 0, max: 100_000 }).map((ms) => `${(ms / 1000).toFixed(3)}s`),
        fc.constantFrom("-1s", "315576000000s", "-315576000000s", "0.000000001s", "604800s"),
      );
    case "google.protobuf.FieldMask":
      return fc
        .array(
          fc.constantFrom(
            "name",
            "url",
            "eventTypes",
            "headers",
            "config",
            "etag",
            "signingSecret",
            "nothing",
            "retryPolicy.delays",
          ),
          { maxLength: 4 },
        )
        .map((paths) => paths.join(","));
    case "google.protobuf.Struct":
      return fc.dictionary(mostly(fc.string({ maxLength: 6 }), wellFormed), plainJson, { maxKeys: 4 });
    case "google.protobuf.Value":
      return plainJson;
    default:
      return undefined;
  }
}

const wellFormed = hostileText.map((text) => text.toWellFormed());

/** A text that the field's name asks for. */
function knownText(field: DescField, world: World): fc.Arbitrary<string> {
  const { name, parent } = field;
  switch (name) {
    case "organization_id":
      return anyOf(world.organizations);
    case "webhook_id":
      return anyOf(world.webhooks);
    case "event_id":
      return anyOf(world.events);
    case "id":
      return idOf(parent.name, world);
    case "url":
      return fc.constantFrom(world.receiverUrl, ...urls);
    case "type":
    case "event_type":
    case "event_types":
      return fc.oneof(
        fc.nat(50).map((n) => `kind.${n}`),
        fc.constantFrom("fuzz.seen", "kind.*", "fuzz.seen.too"),
      );
    case "signing_secret":
      return fc.constantFrom("", `whsec_${Buffer.alloc(32, 1).toString("base64")}`, "whsec_short", "secret");
    case "traceparent":
      return fc.constantFrom("", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-x");
    default:
      return fc.string({ maxLength: 20 });
  }
}

const urls = [
  "https://receiver.invalid/hook",
  "http://127.0.0.1:1/hook",
  "http://10.0.0.1/",
  "http://[::1]:1/",
  "https://user:password@receiver.invalid/",
  "https://receiver.invalid:99999/",
  "http://%",
  "ftp://receiver.invalid/",
  "https://receiver.invalid/#fragment",
];

function idOf(messageName: string, world: World): fc.Arbitrary<string> {
  const kinds: [part: string, ids: readonly string[]][] = [
    ["Organization", world.organizations],
    ["ApiKey", world.keyIds],
    ["Delivery", world.deliveries],
    ["Recovery", world.recoveries],
    ["Event", world.events],
    ["Webhook", world.webhooks],
  ];
  const own = kinds.find(([part]) => messageName.includes(part))?.[1] ?? [];
  // A publisher's own id of an event may be anything.
  const free = messageName === "Event" ? fc.constantFrom("", "own-id-1") : fc.constant("");
  return fc.oneof({ arbitrary: anyOf(own), weight: 6 }, anyOf(kinds.flatMap(([, ids]) => ids)), free);
}

function anyOf(values: readonly string[]): fc.Arbitrary<string> {
  return values.length === 0 ? fc.constant("") : fc.constantFrom(...values);
}

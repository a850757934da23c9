import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";
import { edgeJsonText, hostileText, plainJson } from "./values.ts";

/** The text of an object: mostly as it is, else with one value of another type, or with a part of it that is hardly JSON. */
export function jsonText(object: fc.Arbitrary<JsonObject>): fc.Arbitrary<string> {
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  return fc.oneof(
    { arbitrary: object.map((json) => JSON.stringify(json)), weight: 6 },
    {
      arbitrary: fc
        .tuple(object, place, wrongValue)
        .map(([json, at, value]) => JSON.stringify(replaced(json, at, value))),
      weight: 3,
    },
    { arbitrary: fc.tuple(object, place, edgeJsonText).map(([json, at, raw]) => withRaw(json, at, raw)), weight: 3 },
    { arbitrary: edgeJsonText, weight: 1 },
    { arbitrary: fc.tuple(object, place).map(([json, at]) => cut(JSON.stringify(json), at)), weight: 1 },
  );
}

const wrongValue: fc.Arbitrary<JsonValue> = fc.oneof(
  hostileText,
  plainJson,
  fc.constantFrom<JsonValue>(null, [], {}, [[]], 1e308, -1),
);

/** The object with another value in one of its places, at whatever depth. */
function replaced(json: JsonValue, at: number, value: JsonValue): JsonValue {
  let left = Math.floor(at * placesIn(json));
  const walk = (here: JsonValue): JsonValue => {
    if (left-- === 0) return value;
    if (Array.isArray(here)) return here.map(walk);
    if (typeof here !== "object" || here === null) return here;
    return Object.fromEntries(Object.entries(here).map(([name, member]) => [name, walk(member)]));
  };
  return walk(json);
}

function placesIn(json: JsonValue): number {
  if (typeof json !== "object" || json === null) return 1;
  return Object.values(json).reduce<number>((sum, member) => sum + placesIn(member as JsonValue), 1);
}

const marker = "\u{f8ff}here\u{f8ff}";

function withRaw(json: JsonObject, at: number, raw: string): string {
  return JSON.stringify(replaced(json, at, marker)).replace(JSON.stringify(marker), () => raw);
}

function cut(text: string, at: number): string {
  return text.slice(0, Math.floor(at * text.length));
}

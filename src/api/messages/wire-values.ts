import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type Duration,
  durationFromMs,
  durationMs,
  type Timestamp,
  timestampFromDate,
  timestampMs,
  type Value,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { type IdKind, idPrefixes, parseId } from "../../domain/ids.ts";
import { isNestedDeeper } from "../../domain/json-depth.ts";
import { invalidFields } from "../../errors.ts";

/** The time of a Date; unset where there is none. */
export function timestampOf(date: Date | null | undefined): Timestamp | undefined {
  return date ? timestampFromDate(date) : undefined;
}

/** The Date of a time, in whole milliseconds. Throws INVALID_FIELDS, naming `field`, outside of the years 1 to 9999 (timestamp.proto). */
export function dateOf(timestamp: Timestamp | undefined, field: string): Date | undefined {
  if (timestamp === undefined) return undefined;
  const ms = timestampMs(timestamp);
  if (ms >= minTimeMs && ms <= maxTimeMs) return new Date(ms);
  throw invalidFields({ field, description: "must be a time in the years 1 to 9999" });
}

export function durationOf(ms: number): Duration {
  return durationFromMs(ms);
}

/** Whole milliseconds. */
export function millisecondsOf(duration: Duration): number {
  return Math.round(durationMs(duration));
}

/** The JSON text of a value. Throws INVALID_FIELDS, naming `field`, for one that JSON does not know, such as NaN. */
export function jsonTextOf(value: Value, field: string): string {
  try {
    return JSON.stringify(toJson(ValueSchema, value));
  } catch {
    throw invalidFields({
      field,
      description: "must be a JSON value: NaN, infinities and values without a kind are none",
    });
  }
}

/**
 * The value of a JSON text. Numbers become doubles, as JSON in JavaScript has them, and those beyond a double become the texts "Infinity" and
 * "-Infinity". What a message cannot hold, such as half of a surrogate pair, and what is nested deeper than 32 levels, stands as the JSON text: in binary a level of an object is three messages in each other, and
 * readers of protobuf stop at a hundred.
 */
export function valueOfJsonText(text: string): Value {
  if (isNestedDeeper(text, maxShownDepth)) return fromJson(ValueSchema, text);
  try {
    return fromJson(ValueSchema, JSON.parse(text, holdable) as JsonValue);
  } catch {
    return fromJson(ValueSchema, text);
  }
}

/** The UUID of an id in a request. Throws INVALID_FIELDS, naming `field`. */
export function uuidOf(kind: IdKind, text: string, field: string): string {
  const uuid = parseId(kind, text);
  if (uuid !== undefined) return uuid;
  throw invalidFields({ field, description: `must be an id such as ${idPrefixes[kind]}_…, or its UUID` });
}

/** The same; undefined where the text is empty. */
export function optionalUuidOf(kind: IdKind, text: string, field: string): string | undefined {
  return text === "" ? undefined : uuidOf(kind, text, field);
}

/** The name of an enum's value, without its prefix; undefined where it is UNSPECIFIED or unknown. */
export function enumName<Values extends Readonly<Record<string, number>>>(
  values: Values,
  value: number,
): Exclude<keyof Values & string, "UNSPECIFIED"> | undefined {
  const found = Object.entries(values).find(([name, number]) => number === value && name !== "UNSPECIFIED");
  return found?.[0] as Exclude<keyof Values & string, "UNSPECIFIED"> | undefined;
}

/** The names of a list of enum values. Throws INVALID_FIELDS, naming the item, for UNSPECIFIED. */
export function enumNames<Values extends Readonly<Record<string, number>>>(
  values: Values,
  list: readonly number[],
  field: string,
): Exclude<keyof Values & string, "UNSPECIFIED">[] {
  return list.map((value, index) => {
    const name = enumName(values, value);
    if (name !== undefined) return name;
    const known = Object.keys(values).filter((key) => key !== "UNSPECIFIED");
    throw invalidFields({ field: `${field}[${index}]`, description: `must be one of ${known.join(", ")}` });
  });
}

const minTimeMs = Date.parse("0001-01-01T00:00:00Z");
const maxTimeMs = Date.parse("9999-12-31T23:59:59.999Z");

const maxShownDepth = 32;

/** Throws for a text that protobuf, whose texts are UTF-8, would change in silence. */
function holdable(key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (!key.isWellFormed() || (typeof value === "string" && !value.isWellFormed())) throw new Error("no UTF-8");
  return value;
}

import {
  type DescField,
  type DescMessage,
  getOption,
  isFieldSet,
  type JsonObject,
  type JsonValue,
  type Message,
} from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type FieldRules,
  field as fieldRules,
  Ignore,
  MapRulesSchema,
  message as messageRules,
  RepeatedRulesSchema,
  type StringRules,
  StringRulesSchema,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/** What buf.validate says of a field, as keywords of JSON schema, and in words where there is no keyword. */
export function readFieldRules(field: DescField): SchemaRules & { required: boolean; ignored: boolean } {
  const rules = getOption(field, fieldRules);
  const ignored = rules.ignore === Ignore.ALWAYS;
  if (ignored) return { ...noRules, required: false, ignored };
  return { ...schemaRules(rules, field), required: rules.required, ignored };
}

export interface SchemaRules {
  readonly keywords: JsonObject;
  /** Keywords for the elements of a list, or the values of a map. */
  readonly itemKeywords: JsonObject;
  /** Keywords for the keys of a map. */
  readonly keyKeywords: JsonObject;
  /** What the keywords cannot say, a sentence each, in proto names. */
  readonly notes: readonly string[];
}

/** The rules of a message as a whole, a sentence each, in proto names. */
export function readMessageRules(message: DescMessage): string[] {
  return getOption(message, messageRules).cel.map((rule) => rule.message);
}

const noRules: SchemaRules = { keywords: {}, itemKeywords: {}, keyKeywords: {}, notes: [] };

function schemaRules(rules: FieldRules, field: DescField): SchemaRules {
  const notes = rules.cel.map((rule) => rule.message);
  const { type } = rules;
  switch (type.case) {
    case "repeated": {
      const { items } = type.value;
      const ofItems = items === undefined ? noRules : schemaRules(items, field);
      const keywords = present(type.value, RepeatedRulesSchema, {
        minItems: ["minItems", Number(type.value.minItems)],
        maxItems: ["maxItems", Number(type.value.maxItems)],
        uniqueItems: ["unique", type.value.unique],
      });
      return { ...noRules, keywords, itemKeywords: ofItems.keywords, notes: [...notes, ...each(ofItems.notes)] };
    }
    case "map": {
      const { keys, values } = type.value;
      const ofKeys = keys === undefined ? noRules : schemaRules(keys, field);
      const ofValues = values === undefined ? noRules : schemaRules(values, field);
      const keywords = present(type.value, MapRulesSchema, {
        minProperties: ["minPairs", Number(type.value.minPairs)],
        maxProperties: ["maxPairs", Number(type.value.maxPairs)],
      });
      const itemKeywords = ofValues.keywords;
      return { keywords, itemKeywords, keyKeywords: ofKeys.keywords, notes: [...notes, ...each(ofValues.notes)] };
    }
    case "string":
      return { ...noRules, keywords: stringKeywords(type.value), notes };
    case "duration":
      return { ...noRules, notes: [...notes, ...durationNotes(type.value)] };
    case "int32":
    case "uint32":
    case "sint32":
    case "fixed32":
    case "sfixed32":
    case "float":
    case "double":
      return { ...noRules, keywords: rangeKeywords(type.value), notes };
    case "enum":
    case undefined:
      // What is defined is what the schema of the enum lists.
      return { ...noRules, notes };
    default:
      throw new Error(`${field}: rules for ${type.case} have no form in a schema yet; add it to field-rules.ts`);
  }
}

function stringKeywords(rules: StringRules): JsonObject {
  const { wellKnown } = rules;
  const format = wellKnown.case === undefined ? undefined : formats[wellKnown.case];
  return {
    ...present(rules, StringRulesSchema, {
      minLength: ["minLen", Number(rules.minLen)],
      maxLength: ["maxLen", Number(rules.maxLen)],
      pattern: ["pattern", rules.pattern],
      const: ["const", rules.const],
    }),
    ...(rules.len > 0n ? { minLength: Number(rules.len), maxLength: Number(rules.len) } : {}),
    ...(rules.in.length > 0 ? { enum: rules.in } : {}),
    ...(format === undefined ? {} : { format }),
  };
}

const formats: Readonly<Record<string, string>> = {
  email: "email",
  hostname: "hostname",
  ipv4: "ipv4",
  ipv6: "ipv6",
  uri: "uri",
  uriRef: "uri-reference",
  uuid: "uuid",
};

interface Range<Bound> {
  greaterThan: { case: "gt" | "gte"; value: Bound } | { case: undefined; value?: undefined };
  lessThan: { case: "lt" | "lte"; value: Bound } | { case: undefined; value?: undefined };
}

function rangeKeywords({ greaterThan, lessThan }: Range<number>): JsonObject {
  return {
    ...(greaterThan.case === undefined ? {} : { [lowerBounds[greaterThan.case]]: greaterThan.value }),
    ...(lessThan.case === undefined ? {} : { [upperBounds[lessThan.case]]: lessThan.value }),
  };
}

const lowerBounds = { gt: "exclusiveMinimum", gte: "minimum" } as const;
const upperBounds = { lt: "exclusiveMaximum", lte: "maximum" } as const;

function durationNotes({ greaterThan, lessThan }: Range<Duration>): string[] {
  const bounds = [
    ...(greaterThan.case === undefined ? [] : [`${boundWords[greaterThan.case]} ${inSeconds(greaterThan.value)}`]),
    ...(lessThan.case === undefined ? [] : [`${boundWords[lessThan.case]} ${inSeconds(lessThan.value)}`]),
  ];
  return bounds.length === 0 ? [] : [`must be ${bounds.join(" and ")}`];
}

const boundWords = { gt: "more than", gte: "at least", lt: "less than", lte: "at most" } as const;

function inSeconds({ seconds, nanos }: Duration): string {
  return `${Number(seconds) + nanos / 1e9}s`;
}

function each(notes: readonly string[]): string[] {
  return notes.map((note) => `each ${note}`);
}

/** Keywords for the fields of the rules that are set, so that a limit of 0 is told from no limit. */
function present<Rules extends Message>(
  rules: Rules,
  descriptor: DescMessage,
  keywords: Readonly<Record<string, readonly [field: string, value: JsonValue]>>,
): JsonObject {
  const set = Object.entries(keywords).filter(([, [name]]) => {
    const field = descriptor.field[name];
    return field !== undefined && isFieldSet(rules, field);
  });
  return Object.fromEntries(set.map(([keyword, [, value]]) => [keyword, value]));
}

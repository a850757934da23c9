import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescOneof,
  getOption,
  type JsonObject,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { FieldBehavior, field_behavior } from "../../gen/google/api/field_behavior_pb.ts";
import { readFieldRules, readMessageRules } from "./field-rules.ts";
import { asSentence, type Prose, paragraphs } from "./prose.ts";
import { nullable, scalarSchema, wellKnownSchema } from "./value-schema.ts";

/**
 * Makes the JSON schemas of messages and enums in protobuf's JSON mapping, as answers write them. Messages and enums become components, once
 * each; the rest stands where it is used. Components get the name of their type without its package, or its full name where another type
 * took that. `verbatimFields` are the full names of message fields in which the server takes as given what it sets elsewhere.
 */
export function createMessageSchemas(prose: Prose, verbatimFields: ReadonlySet<string> = new Set()): MessageSchemas {
  const components = new Map<string, JsonObject>();
  const owners = new Map<string, string>();

  /** Registers before it builds, so that a message may hold itself. */
  function component(key: string, names: readonly string[], build: () => JsonObject): JsonObject {
    const name = names.find((each) => (owners.get(each) ?? key) === key) ?? key;
    if (!owners.has(name)) {
      owners.set(name, key);
      components.set(name, {});
      components.set(name, build());
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  function messageSchema(message: DescMessage, isVerbatim = false): JsonObject {
    const wellKnown = wellKnownSchema(message);
    if (wellKnown !== undefined) return wellKnown;
    if (!isVerbatim) return component(message.typeName, namesOf(message), () => objectSchema(message));
    const names = namesOf(message).map((name) => `${name}AsGiven`);
    return component(`${message.typeName} as given`, names, () => objectSchema(message, { isVerbatim }));
  }

  function enumSchema(descriptor: DescEnum): JsonObject {
    if (descriptor.typeName === "google.protobuf.NullValue") return { type: "null" };
    return component(descriptor.typeName, namesOf(descriptor), () => {
      const values = descriptor.values.map((value) => `- \`${value.name}\`: ${prose.describe(value)}`);
      return {
        type: "string",
        enum: descriptor.values.map(({ name }) => name),
        description: paragraphs(prose.describe(descriptor), values.join("\n")),
      };
    });
  }

  function objectSchema(message: DescMessage, variant: Variant = {}): JsonObject {
    const { omit = [], isPatch = false } = variant;
    const fields = message.fields.filter((field) => !omit.includes(field));
    const required = isPatch ? [] : fields.filter(isRequired).map(({ jsonName }) => jsonName);
    const rules = readMessageRules(message).map((rule) => asSentence(prose.rename(rule)));
    const oneofs = message.oneofs.filter(({ fields: members }) => members.every((field) => fields.includes(field)));
    const exclusive = oneofs.flatMap(atMostOne);
    const description = paragraphs(prose.describe(message), rules.join(" "));
    return {
      type: "object",
      ...(description === "" ? {} : { description }),
      ...(required.length === 0 ? {} : { required }),
      ...(fields.length === 0 ? {} : { properties: properties(fields, variant) }),
      ...(exclusive.length === 0 ? {} : { allOf: exclusive }),
    };
  }

  function properties(fields: readonly DescField[], { isPatch = false, isVerbatim = false }: Variant): JsonObject {
    const entries = fields.map((field): [string, JsonObject] => {
      const schema = fieldSchema(field, isVerbatim);
      return [field.jsonName, isPatch && isClearable(field) ? nullable(schema) : schema];
    });
    return Object.fromEntries(entries);
  }

  function fieldSchema(field: DescField, isVerbatim = false): JsonObject {
    const behaviors = new Set(getOption(field, field_behavior));
    const description = describeField(field);
    return {
      ...valueSchema(field, isVerbatim || verbatimFields.has(`${field.parent.typeName}.${field.name}`)),
      ...(description === "" ? {} : { description }),
      ...(behaviors.has(FieldBehavior.OUTPUT_ONLY) && !isVerbatim ? { readOnly: true } : {}),
      ...(behaviors.has(FieldBehavior.INPUT_ONLY) ? { writeOnly: true } : {}),
    };
  }

  function valueSchema(field: DescField, isVerbatim = false): JsonObject {
    const { keywords, itemKeywords, keyKeywords } = readFieldRules(field);
    switch (field.fieldKind) {
      case "scalar":
        return { ...scalarSchema(field.scalar), ...keywords };
      case "enum":
        return { ...enumSchema(field.enum), ...keywords };
      case "message":
        return { ...messageSchema(field.message, isVerbatim), ...keywords };
      case "list":
        return { type: "array", items: { ...elementSchema(field), ...itemKeywords }, ...keywords };
      case "map": {
        const names = { ...keySchema(field.mapKey), ...keyKeywords };
        return {
          type: "object",
          additionalProperties: { ...elementSchema(field), ...itemKeywords },
          ...(Object.keys(names).length === 0 ? {} : { propertyNames: names }),
          ...keywords,
        };
      }
    }
  }

  function elementSchema(field: DescField & { fieldKind: "list" | "map" }): JsonObject {
    if (field.enum !== undefined) return enumSchema(field.enum);
    return field.message === undefined ? scalarSchema(field.scalar) : messageSchema(field.message);
  }

  function describeField(field: DescField): string {
    const notes = readFieldRules(field).notes.map((note) => asSentence(prose.rename(note)));
    const isFixed = getOption(field, field_behavior).includes(FieldBehavior.IMMUTABLE);
    const fixed = isFixed ? "Immutable: it is given on creation and never changes." : "";
    return paragraphs(prose.describe(field), notes.join(" "), fixed);
  }

  return {
    components: () => Object.fromEntries([...components].sort(([one], [other]) => (one < other ? -1 : 1))),
    messageSchema,
    fieldSchema,
    valueSchema,
    describeField,
    variantSchema(message, variant, suffix) {
      const schema = objectSchema(message, variant);
      if (JSON.stringify(schema) === JSON.stringify(objectSchema(message))) return messageSchema(message);
      const key = `${message.typeName} ${JSON.stringify(schema)}`;
      const names = namesOf(message).map((name) => `${name}${suffix}`);
      return component(key, [...names, ...names.map((name) => `${name}2`)], () => schema);
    },
    typedDetail(message) {
      const type = `type.googleapis.com/${message.typeName}`;
      return component(`${message.typeName} as a detail`, namesOf(message), () => {
        const { properties: fields = {}, required: _, ...rest } = objectSchema(message);
        return { ...rest, required: ["@type"], properties: { "@type": { const: type }, ...(fields as JsonObject) } };
      });
    },
  };
}

export interface MessageSchemas {
  /** The components so far, by name. */
  components(): JsonObject;
  /** The schema of a message: a reference, or for a well-known type the schema itself. */
  messageSchema(message: DescMessage): JsonObject;
  /** The schema of a field with its description and behaviour. */
  fieldSchema(field: DescField): JsonObject;
  /** The schema of a field's value alone. */
  valueSchema(field: DescField): JsonObject;
  /** A field's comment and the rules that have no keyword. */
  describeField(field: DescField): string;
  /** A component of its own for a message in another form; the message's own component where there is no difference. */
  variantSchema(message: DescMessage, variant: Variant, suffix: string): JsonObject;
  /** The message as a detail of an error: with the `@type` that google.protobuf.Any gives it. */
  typedDetail(message: DescMessage): JsonObject;
}

export interface Variant {
  /** Fields that are not there. */
  readonly omit?: readonly DescField[];
  /** Nothing is required, and null clears what is not required otherwise (AIP-134). */
  readonly isPatch?: boolean;
  /** What only the server sets otherwise is taken as given, in messages inside it too. */
  readonly isVerbatim?: boolean;
}

/** Whether a request without the field is refused. */
export function isRequired(field: DescField): boolean {
  return getOption(field, field_behavior).includes(FieldBehavior.REQUIRED) || readFieldRules(field).required;
}

/** Whether only the server sets the field. */
export function isOutputOnly(field: DescField): boolean {
  return getOption(field, field_behavior).includes(FieldBehavior.OUTPUT_ONLY);
}

/** Whether an update may leave the field empty. */
function isClearable(field: DescField): boolean {
  const isFixed = getOption(field, field_behavior).includes(FieldBehavior.IMMUTABLE);
  return !isRequired(field) && !isOutputOnly(field) && !isFixed;
}

function namesOf({ typeName, file }: DescMessage | DescEnum): string[] {
  return [typeName.slice(file.proto.package.length + (file.proto.package === "" ? 0 : 1)), typeName];
}

function keySchema(key: ScalarType): JsonObject {
  if (key === ScalarType.STRING) return {};
  return key === ScalarType.BOOL ? { enum: ["true", "false"] } : { pattern: "^-?\\d+$" };
}

/** No two members of a oneof together. */
function atMostOne({ fields }: DescOneof): JsonValue[] {
  return fields.flatMap((one, index) =>
    fields.slice(index + 1).map((other) => ({ not: { required: [one.jsonName, other.jsonName] } })),
  );
}

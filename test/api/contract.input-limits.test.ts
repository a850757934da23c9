import { type DescField, type DescMessage, getOption, hasOption, ScalarType } from "@bufbuild/protobuf";
import { type FieldRules, field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, it } from "vitest";
import { contractServices } from "../support/contract-services.ts";

/** Fields whose bound stands elsewhere than in the contract's rules, and where. */
const boundElsewhere: Readonly<Record<string, string>> = {
  "tellwire.v1.Webhook.signing_secret": "the formats: 24 to 64 bytes, or 256 characters",
  "tellwire.v1.PreviousSecret.signing_secret": "the formats",
  "tellwire.v1.RotateWebhookSecretRequest.signing_secret": "the formats",
  "tellwire.v1.WebhookImport.previous_secrets": "checkImportedWebhook: three",
  "tellwire.v1.Webhook.headers": "the values: checkWebhookHeaders",
  "tellwire.v1.Event.data_json": "TELLWIRE_MAX_PAYLOAD_BYTES",
  "tellwire.v1.Event.external_id": "output only, never read",
  "tellwire.v1.ApiKey.id": "output only, never read",
  "tellwire.v1.ApiKey.organization_id": "output only, never read",
  "tellwire.v1.ApiKey.prefix": "output only, never read",
};

const inputs = contractServices.flatMap(({ methods }) => methods.map(({ input }) => input));

it("every text, list and map that a caller may send has a bound", () => {
  const unbounded = [...reachable(inputs)]
    .flatMap(({ fields }) => fields.filter((field) => !isBounded(field)))
    .map(nameOf);
  expect(unbounded.filter((name) => boundElsewhere[name] === undefined)).toEqual([]);
  // What is listed as an exception is one.
  expect(Object.keys(boundElsewhere).filter((name) => !unbounded.includes(name))).toEqual([]);
});

function reachable(roots: readonly DescMessage[], found = new Set<DescMessage>()): Set<DescMessage> {
  for (const message of roots) {
    if (found.has(message) || !message.typeName.startsWith("tellwire.")) continue;
    found.add(message);
    reachable(
      message.fields.flatMap((field) => (field.message === undefined ? [] : [field.message])),
      found,
    );
  }
  return found;
}

function isBounded(field: DescField): boolean {
  const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
  if (field.fieldKind === "list") {
    const { case: kind, value } = rules?.type ?? { case: undefined, value: undefined };
    if (kind !== "repeated" || value.maxItems === 0n) return false;
    return field.listKind !== "scalar" || field.scalar !== ScalarType.STRING || isShort(value.items);
  }
  if (field.fieldKind === "map") return false;
  if (field.fieldKind !== "scalar") return true;
  return (field.scalar !== ScalarType.STRING && field.scalar !== ScalarType.BYTES) || isShort(rules);
}

/** By a length, or by a pattern that has one, as those of ids and trace contexts have. */
function isShort(rules: FieldRules | undefined): boolean {
  if (rules === undefined) return false;
  if (rules.cel.some(({ expression }) => expression.includes("matches('^") && !/[+*]/.test(expression))) return true;
  if (rules.type.case !== "string") return false;
  const { maxLen, pattern } = rules.type.value;
  return maxLen > 0n || (pattern.endsWith("$") && !/[+*]/.test(pattern));
}

function nameOf(field: DescField): string {
  return `${field.parent.typeName}.${field.name}`;
}

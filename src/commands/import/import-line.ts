import { type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { type Organization, OrganizationSchema } from "../../../gen/tellwire/v1/organization_pb.ts";
import { type WebhookImport, WebhookImportSchema } from "../../../gen/tellwire/v1/webhook_import_pb.ts";

/** What a line of an import file says, or why it says nothing. */
export type ImportLine =
  | { kind: "organization"; organization: Organization }
  | { kind: "webhook"; webhookImport: WebhookImport }
  | { kind: "unreadable"; reason: string };

/**
 * Reads a line: `{"organization":{…}}`, or `{"webhook":{…}}` with `previousSecrets` beside it where there are any, in the JSON form of the
 * contract. A reason never repeats a value, which may be a secret.
 */
export function readImportLine(text: string): ImportLine {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    return { kind: "unreadable", reason: "is not JSON" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { kind: "unreadable", reason: "must be a JSON object" };
  }
  const { organization, ...rest } = value;
  if ((organization === undefined) === (rest.webhook === undefined)) {
    return { kind: "unreadable", reason: 'must have either a member "organization" or a member "webhook"' };
  }
  try {
    if (organization === undefined) return { kind: "webhook", webhookImport: decode(WebhookImportSchema, rest) };
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined) return { kind: "unreadable", reason: `${JSON.stringify(unknown)} is no known member` };
    return { kind: "organization", organization: decode(OrganizationSchema, organization) };
  } catch (error) {
    return { kind: "unreadable", reason: withoutValue(error) };
  }
}

function decode<Desc extends DescMessage>(schema: Desc, value: JsonValue): MessageShape<Desc> {
  return fromJson(schema, value);
}

/** The runtime's text names the field, and after `from JSON:` the value that stands there, but for unknown members. */
function withoutValue(error: unknown): string {
  const text = error instanceof Error ? error.message : "cannot be read";
  const unknown = /key ("[^"]*") is unknown$/.exec(text)?.[1];
  if (unknown !== undefined) return `${unknown} is no known member`;
  const field = /field tellwire\.v1\.(\S+)/.exec(text)?.[1];
  return field === undefined ? "is not what the contract says" : `${field} is not what the contract says`;
}

import { z } from "zod";
import { readJson } from "./json-text.ts";
import { rawJsonMember } from "./raw-json-member.ts";
import { type Rejected, rejected } from "./rejection.ts";

/** What a message says about its event, beside the subject; not checked yet but for being there. */
export interface EventContent {
  kind: "content";
  /** Where the attributes stood. */
  format: "headers" | "cloudevent";
  id: string | null;
  time: string | null;
  source: string | null;
  subject: string | null;
  traceparent: string | null;
  dataJson: string;
}

/** Whether the content type says that the body is a CloudEvent, or several, in some format. */
export function isStructuredCloudEvent(contentType: string): boolean {
  return mediaType(contentType).startsWith("application/cloudevents");
}

/**
 * Reads a CloudEvent 1.0 in the JSON format (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md). Its type must
 * be the one of the subject, and its data JSON, which is kept as it stands in the body.
 */
export function readCloudEvent(body: Uint8Array, contentType: string, type: string): EventContent | Rejected {
  if (mediaType(contentType) !== "application/cloudevents+json") {
    return bad(`${mediaType(contentType)} is not taken: send single events as application/cloudevents+json`);
  }
  const json = readJson(body);
  if (json.kind === "invalid") {
    return bad(`the body must be JSON: ${json.problem}`);
  }
  const parsed = attributes.safeParse(json.value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return bad([issue?.path.join("."), issue?.message].filter(Boolean).join(" "));
  }
  const event = parsed.data;
  if (event.type !== type) {
    return bad(`type must be the event type of the subject, ${type}`);
  }
  if (event.datacontenttype !== undefined && !isJson(event.datacontenttype)) {
    return bad("datacontenttype must be JSON, such as application/json: deliveries carry JSON");
  }
  const dataJson = readData(json.text, event.data_base64);
  if (typeof dataJson !== "string") {
    return dataJson;
  }
  return {
    kind: "content",
    format: "cloudevent",
    id: event.id,
    time: event.time ?? null,
    source: event.source,
    subject: event.subject ?? null,
    // https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md
    traceparent: event.traceparent ?? null,
    dataJson,
  };
}

const required = z.string("must be a text").min(1, "must not be empty");
const optional = required.nullish().transform((text) => text ?? undefined);

const attributes = z.object(
  {
    specversion: z.literal("1.0", "must be 1.0"),
    id: required,
    source: required,
    type: required,
    time: optional,
    subject: optional,
    datacontenttype: optional,
    // An extension; what is none is ignored later.
    traceparent: z.string().optional().catch(undefined),
    data_base64: z.string("must be a text").optional(),
  },
  "the body must be an object",
);

function readData(text: string, base64: string | undefined): string | Rejected {
  const raw = rawJsonMember(text, "data");
  if (base64 === undefined) {
    return raw ?? bad("data is required: any JSON value, such as {}");
  }
  if (raw !== undefined) {
    return bad("set data or data_base64, not both");
  }
  if (!base64Pattern.test(base64)) {
    return bad("data_base64 must be base64 (RFC 4648, section 4)");
  }
  const json = readJson(Buffer.from(base64, "base64"));
  return json.kind === "json" ? json.text : bad(`data_base64 must hold JSON: ${json.problem}`);
}

const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Media types of RFC 8259 and those with the suffix of RFC 6839. */
function isJson(contentType: string): boolean {
  return /^([^/]+\/json|[^/]+\/[^/]+\+json)$/.test(mediaType(contentType));
}

function mediaType(contentType: string): string {
  return (contentType.split(";", 1)[0] ?? "").trim().toLowerCase();
}

function bad(detail: string): Rejected {
  return rejected("BAD_CLOUDEVENT", detail);
}

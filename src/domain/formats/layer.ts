import { hmacKeyOf } from "../signing-key.ts";
import type { Format } from "./format.ts";
import type { EncodedPayload, PayloadEvent } from "./payload.ts";
import { generateTextSecret, parseTextSecret } from "./text-secret.ts";

/** The generations of Layer's webhooks. */
export type LayerGeneration = "pre-release" | "1.0" | "2.0" | "3.0";

/**
 * What Layer's receivers get. The signature is the lower-case hexadecimal HMAC-SHA1 of the raw body; during a rotation the newest key signs,
 * since the header has room for one signature.
 */
export function layer(generation: LayerGeneration): Format {
  const userAgent = `layer-webhooks/${generation === "pre-release" ? "1.0" : generation}`;
  return {
    encode: (event, configJson) => encode(generation, event, configJson),
    sign({ payload, eventType, deliveryId, webhookId, keys: [key] }) {
      return {
        "user-agent": userAgent,
        "layer-webhook-event-type": eventType,
        "layer-webhook-request-id": deliveryId,
        "layer-webhook-id": webhookId,
        ...(key === undefined ? {} : { "layer-webhook-signature": hmacKeyOf(key).sign("sha1", payload, "hex") }),
      };
    },
    algorithms: ["HMAC"],
    parseSecret: parseTextSecret,
    generateSecret: generateTextSecret,
    verification: { optional: false, afterFailure: "DISABLED", maxTimeoutMs: 1_000, exactEcho: true },
    honoursGone: false,
    showsSecret: false,
  };
}

/**
 * The body is written as JSON.stringify writes it, because receivers parse it and write it again before they compute the HMAC: numbers
 * become doubles on the way. The data's members stand beside the event's; an `actor` among them is the event's own. Data that is no object
 * stands under `data`, and so does, as it was published, data that is nested too deep to be written again.
 */
function encode(generation: LayerGeneration, event: PayloadEvent, configJson: string | null): EncodedPayload {
  const { actor, ...members } = membersOf(JSON.parse(event.dataJson));
  const createdAt = event.occurredAt.toISOString();
  const metadata = (by: Record<string, unknown>): Record<string, unknown> =>
    generation === "pre-release"
      ? { event_timestamp: createdAt, event_type: event.type, event_id: event.uuid, ...by }
      : { event: { created_at: createdAt, type: event.type, id: event.uuid, ...by } };
  const own = metadata(actor === undefined ? {} : { actor });
  const config = configJson === null ? {} : { config: JSON.parse(configJson) as unknown };
  const text =
    stringify({ ...own, ...withoutOwn(members, { ...own, ...config }), ...config }) ??
    `${JSON.stringify({ ...metadata({}), ...config }).slice(0, -1)},"data":${event.dataJson}}`;
  return {
    contentType:
      generation === "pre-release" ? "application/json" : `application/vnd.layer.webhooks+json; version=${generation}`,
    body: Buffer.from(text),
    headers: {},
  };
}

/** Undefined for what is nested some thousand levels deep: JSON.parse reads that, and JSON.stringify runs out of stack. */
function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function membersOf(data: unknown): Record<string, unknown> {
  return typeof data === "object" && data !== null && !Array.isArray(data)
    ? (data as Record<string, unknown>)
    : { data };
}

/** What the format itself says wins over data of the same name. */
function withoutOwn(members: Record<string, unknown>, own: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([name]) => !Object.hasOwn(own, name)));
}

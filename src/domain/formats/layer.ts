import { createHmac } from "node:crypto";
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
        ...(key === undefined
          ? {}
          : { "layer-webhook-signature": createHmac("sha1", key).update(payload.body).digest("hex") }),
      };
    },
    parseSecret: parseTextSecret,
    generateSecret: generateTextSecret,
    verification: { optional: false, afterFailure: "DISABLED", maxTimeoutMs: 1_000 },
    honoursGone: false,
  };
}

/**
 * The body is written as JSON.stringify writes it, because receivers parse it and write it again before they compute the HMAC. The data's
 * members stand beside the event's; an `actor` among them is the event's own. Data that is no object stands under `data`.
 */
function encode(generation: LayerGeneration, event: PayloadEvent, configJson: string | null): EncodedPayload {
  const { actor, ...members } = membersOf(JSON.parse(event.dataJson));
  const createdAt = event.occurredAt.toISOString();
  const own =
    generation === "pre-release"
      ? { event_timestamp: createdAt, event_type: event.type, event_id: event.uuid, ...optional({ actor }) }
      : { event: { created_at: createdAt, type: event.type, id: event.uuid, ...optional({ actor }) } };
  const config = configJson === null ? {} : { config: JSON.parse(configJson) as unknown };
  return {
    contentType:
      generation === "pre-release" ? "application/json" : `application/vnd.layer.webhooks+json; version=${generation}`,
    body: Buffer.from(JSON.stringify({ ...own, ...withoutOwn(members, { ...own, ...config }), ...config })),
    headers: {},
  };
}

function membersOf(data: unknown): Record<string, unknown> {
  return typeof data === "object" && data !== null && !Array.isArray(data)
    ? (data as Record<string, unknown>)
    : { data };
}

function optional(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** What the format itself says wins over data of the same name. */
function withoutOwn(members: Record<string, unknown>, own: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([name]) => !Object.hasOwn(own, name)));
}

import { z } from "zod";
import type { LayerGeneration } from "../../domain/formats/layer.ts";
import { DialectFailureError } from "../dialect.ts";
import { parseFields } from "../parse-fields.ts";
import { type LayerVersion, layerVersions, propertyNames } from "./layer-generation.ts";

/** What a client says of a webhook, whatever its generation calls it. */
export interface LayerFields {
  generation: LayerGeneration;
  url: string;
  eventTypes: string[];
  secret: string;
  /** null: nothing is sent with the events. */
  config: Record<string, unknown> | null;
}

/**
 * Reads the body of a creation. One with `event_types` and no `version` is of the pre-release generation. One with neither has the version
 * that the client's Accept header speaks. Throws a DialectFailureError for a body that is no such webhook.
 */
export function readLayerCreation(body: unknown, acceptedVersion: LayerVersion | undefined): LayerFields {
  const given = requireObject(body);
  if (given.version === undefined && given.event_types !== undefined) {
    const read = parseFields(preReleaseCreation, given);
    return {
      generation: "pre-release",
      url: read.target_url,
      eventTypes: distinct(read.event_types),
      secret: read.secret,
      config: read.target_config ?? null,
    };
  }
  const read = parseFields(versionedCreation, { ...given, version: given.version ?? acceptedVersion });
  return {
    generation: read.version,
    url: read.target_url,
    eventTypes: distinct(read.events),
    secret: read.secret,
    config: read.config ?? null,
  };
}

/**
 * Reads the body of a change of a webhook of that generation: any part of a creation's properties. `version` moves a webhook to another
 * generation. Both generations' names are understood; where both are given, those of the webhook's own count.
 */
export function readLayerChange(body: unknown, generation: LayerGeneration): Partial<LayerFields> {
  const read = parseFields(change, requireObject(body));
  const after = read.version ?? generation;
  const other = after === "pre-release" ? propertyNames("1.0") : propertyNames("pre-release");
  const own = propertyNames(after);
  const eventTypes = read[own.eventTypes] ?? read[other.eventTypes];
  const config = read[own.config] === undefined ? read[other.config] : read[own.config];
  return {
    ...(read.version === undefined ? {} : { generation: read.version }),
    ...(read.target_url === undefined ? {} : { url: read.target_url }),
    ...(eventTypes === undefined ? {} : { eventTypes: distinct(eventTypes) }),
    ...(read.secret === undefined ? {} : { secret: read.secret }),
    ...(config === undefined ? {} : { config }),
  };
}

const targetUrl = z
  .string({ error: "must be a string" })
  .min(1, "must not be empty")
  .max(2048, "must be at most 2048 characters")
  .describe("Destination URL for the webhook (HTTPS).");
const events = z
  .array(
    z
      .string({ error: "must hold strings" })
      .max(128, "must hold names of at most 128 characters")
      .regex(/^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?|\*)$/, "must hold event names such as message.sent"),
    { error: "must be an array of event names" },
  )
  .min(1, "must name at least one event")
  .max(200, "must name at most 200 events")
  .describe(
    "The events that the webhook gets. Beside exact names, a prefix such as conversation.* and * are understood.",
  );
const secret = z
  .string({ error: "must be a string" })
  .min(1, "must not be empty")
  .max(256, "must be at most 256 characters")
  .describe("The key of the HMAC in layer-webhook-signature. It is never returned.");
const config = z
  .record(z.string(), z.unknown(), { error: "must be a dictionary" })
  .nullish()
  .describe("Free-form data that is sent with each event.");
const version = z
  .enum(layerVersions, { error: `must be one of ${layerVersions.join(", ")}` })
  .describe("The version of the Layer Webhooks protocol. Left out, it is the one of the Accept header.");

/** The body of a creation in versions 1.0, 2.0 and 3.0. Properties that it does not name are ignored. */
export const versionedCreation = z.object({ target_url: targetUrl, events, secret, config, version });

/** The body of a creation in the pre-release generation, which names no version. */
export const preReleaseCreation = z.object({
  target_url: targetUrl,
  event_types: events,
  secret,
  target_config: config,
});

/** The body of a change. A `config` of null removes it. */
export const change = z.object({ ...versionedCreation.shape, event_types: events, target_config: config }).partial();

function requireObject(body: unknown): Record<string, unknown> {
  if (typeof body === "object" && body !== null && !Array.isArray(body)) {
    return body as Record<string, unknown>;
  }
  throw new DialectFailureError({ kind: "malformed JSON", message: "there is no object" });
}

/** An event that is named twice is sent once. */
function distinct(names: readonly string[]): string[] {
  return [...new Set(names)];
}

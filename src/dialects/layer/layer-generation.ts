import type { WebhookFormat } from "../../domain/formats/catalogue.ts";
import type { LayerGeneration } from "../../domain/formats/layer.ts";

/** The format that a generation's receivers get. */
export const layerFormats = {
  "pre-release": "LAYER_PRERELEASE",
  "1.0": "LAYER_1_0",
  "2.0": "LAYER_2_0",
  "3.0": "LAYER_3_0",
} as const satisfies Record<LayerGeneration, WebhookFormat>;

/** The generations that carry their number in `version`, in requests, answers and deliveries. */
export const layerVersions = ["1.0", "2.0", "3.0"] as const satisfies LayerGeneration[];

export type LayerVersion = (typeof layerVersions)[number];

/** The generation of a stored webhook; undefined where it is not one of Layer's. */
export function generationOf(format: WebhookFormat): LayerGeneration | undefined {
  const found = Object.entries(layerFormats).find(([, name]) => name === format);
  return found?.[0] as LayerGeneration | undefined;
}

/**
 * What a generation calls the parts of a webhook whose names changed between the pre-release and 1.0: the subscription, and the data that
 * is sent with each event.
 */
export function propertyNames(generation: LayerGeneration) {
  return generation === "pre-release"
    ? ({ eventTypes: "event_types", config: "target_config" } as const)
    : ({ eventTypes: "events", config: "config" } as const);
}

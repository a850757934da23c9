import { cloudEventsBinary } from "./cloudevents-binary.ts";
import { cloudEventsStructured } from "./cloudevents-structured.ts";
import type { Format } from "./format.ts";
import { layer } from "./layer.ts";
import { layers } from "./layers.ts";
import { standard } from "./standard.ts";
import { verifik } from "./verifik.ts";

/** Every format, by the name that is stored; the contract's names are these with `WEBHOOK_FORMAT_` before them. */
const catalogue = {
  STANDARD: standard,
  CLOUDEVENTS_STRUCTURED: cloudEventsStructured,
  CLOUDEVENTS_BINARY: cloudEventsBinary,
  LAYER_PRERELEASE: layer("pre-release"),
  LAYER_1_0: layer("1.0"),
  LAYER_2_0: layer("2.0"),
  LAYER_3_0: layer("3.0"),
  VERIFIK: verifik,
  LAYERS: layers,
} as const satisfies Record<string, Format>;

export type WebhookFormat = keyof typeof catalogue;

/** The format of a name. */
export function formatOf(name: WebhookFormat): Format {
  return catalogue[name];
}

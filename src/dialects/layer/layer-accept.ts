import { type LayerVersion, layerVersions } from "./layer-generation.ts";

/** What a request's Accept header means for Layer's API. */
export type LayerAccept = { kind: "acceptable"; version: LayerVersion | undefined } | { kind: "not acceptable" };

/**
 * Reads an Accept header (RFC 9110, section 12.5.1). Layer's own media type needs one of the three versions, and names the version that the
 * client speaks. Answers are JSON whichever it is, so JSON, any type, and no header at all are served too: the pre-release generation asked
 * for none.
 */
export function readLayerAccept(accept: string | undefined): LayerAccept {
  if (accept === undefined || accept.trim() === "") {
    return { kind: "acceptable", version: undefined };
  }
  const ranges = accept.split(",").map(readRange);
  const wanted = ranges.filter(({ parameters }) => !/^0(\.0*)?$/.test(parameters.get("q") ?? "1"));
  const own = wanted.filter(({ type }) => type === layerMediaType);
  const version = own.map(({ parameters }) => parameters.get("version")).find(isVersion);
  if (version !== undefined) {
    return { kind: "acceptable", version };
  }
  return wanted.some(({ type }) => jsonRanges.has(type))
    ? { kind: "acceptable", version: undefined }
    : { kind: "not acceptable" };
}

/** The media type of Layer's API, which comes with a version. */
export const layerMediaType = "application/vnd.layer.webhooks+json";

const jsonRanges: ReadonlySet<string> = new Set(["application/json", "application/*", "*/*"]);

function readRange(text: string): { type: string; parameters: Map<string, string> } {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim());
  return { type: type.toLowerCase(), parameters: new Map(parameters.map(readParameter)) };
}

function readParameter(text: string): [name: string, value: string] {
  const [name = "", value = ""] = text.split("=", 2).map((part) => part.trim());
  return [name.toLowerCase(), value.replace(/^"(.*)"$/, "$1")];
}

function isVersion(text: string | undefined): text is LayerVersion {
  return layerVersions.some((version) => version === text);
}

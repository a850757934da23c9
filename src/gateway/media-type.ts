/** Whether a Content-Type is JSON in UTF-8: `application/json` or a `+json` type, with any parameters but another charset. */
export function isJsonContentType(contentType: string): boolean {
  const [type = "", ...parameters] = contentType.split(";").map((part) => part.trim().toLowerCase());
  if (type !== "application/json" && !/^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.-]+\+json$/.test(type)) return false;
  return parameters.every((parameter) => !parameter.startsWith("charset=") || /^charset="?utf-?8"?$/.test(parameter));
}

/**
 * How much a client wants a media type, from 0 (not at all) to 1, by its Accept header: the most specific range decides (RFC 9110, 12.5.1).
 * A missing or empty header accepts everything.
 */
export function acceptQuality(accept: string | undefined, type: string): number {
  if (accept === undefined || accept.trim() === "" || accept === "*/*") return 1;
  const anySubtype = `${type.slice(0, type.indexOf("/"))}/*`;
  let best = { specificity: -1, quality: 0 };
  for (const part of accept.split(",")) {
    const [range = "", ...parameters] = part.split(";").map((each) => each.trim().toLowerCase());
    const specificity = ["*/*", anySubtype, type].indexOf(range);
    if (specificity > best.specificity) best = { specificity, quality: readQuality(parameters) };
  }
  return best.quality;
}

/** Whether the header names the media type itself, not only by a wildcard. */
export function namesMediaType(accept: string | undefined, type: string): boolean {
  return (accept ?? "").split(",").some((part) => part.split(";")[0]?.trim().toLowerCase() === type);
}

/** The weight among the parameters of one element: 1 where it has none or a malformed one. */
export function readQuality(parameters: readonly string[]): number {
  const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
  const quality = weight !== undefined && /^[01](?:\.\d{0,3})?$/.test(weight) ? Number(weight) : 1;
  return Math.min(quality, 1);
}

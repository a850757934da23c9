import type { JsonObject } from "@bufbuild/protobuf";

/** The info object of the document. `version` is that of the package. */
export function introduction(version: string): JsonObject {
  return {
    title: "Tellwire",
    version,
    summary: "Publish events, and have them delivered as signed webhooks.",
    description: [
      "Publishers send events; webhooks say who gets them, and where. Tellwire signs one HTTP request for each webhook that wants an event, " +
        "and tries until it arrives or the schedule is exhausted.",
      "**Keys.** Every operation needs a key, as `Authorization: Bearer <key>` or `X-Api-Key: <key>`. The key of an organization sees that " +
        "organization alone; an operator's key sees all of them, and names one as `organizationId` where something is created. A key has scopes; " +
        "each operation says which one it needs, and is refused with `SCOPE_MISSING` without it.",
      "**JSON.** Fields with their default value (`0`, `false`, an empty text or list) are left out of answers. Unknown fields and parameters " +
        "are refused, naming them. Proto names (`event_types`) are taken beside JSON names (`eventTypes`).",
      "**Errors** have the form of AIP-193. `error.details[0].reason` is the one for programs; it never changes its meaning.",
      "**Lists** are paged: `pageSize`, and as `pageToken` the `nextPageToken` of the page before. The last page has none.",
      "**Timeouts.** `X-Server-Timeout: <seconds>` says how long the client waits; later answers are `504`.",
      "**Limits.** `RateLimit-Policy` and `RateLimit` on every answer to a caller with limits say how they stand; a `429` has `Retry-After`.",
    ].join("\n\n"),
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  };
}

/** How a caller shows its key, by name. */
export const securitySchemes: JsonObject = {
  bearer: {
    type: "http",
    scheme: "bearer",
    description: "The key of an organization (`twk_…`) or of an operator, or a token.",
  },
  apiKey: {
    type: "apiKey",
    in: "header",
    name: "X-Api-Key",
    description: "The same keys and tokens in a header of their own.",
  },
};

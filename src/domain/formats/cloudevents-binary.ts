import { cloudEventsAttributes } from "./cloudevents-attributes.ts";
import type { Format } from "./format.ts";
import type { EncodedPayload, PayloadEvent } from "./payload.ts";
import { standardSigning } from "./standard.ts";

/** CloudEvents 1.0 in binary mode, signed as Standard Webhooks. */
export const cloudEventsBinary: Format = { ...standardSigning, encode: encodeCloudEventsBinary };

/**
 * A CloudEvent in binary mode: the data alone as the body, the attributes as `ce-` headers (CloudEvents 1.0, HTTP binding, section 3.1).
 * `datacontenttype` is the content type, and no header of its own.
 */
function encodeCloudEventsBinary(event: PayloadEvent): EncodedPayload {
  const headers: Record<string, string> = {};
  for (const [name, value] of cloudEventsAttributes(event)) headers[`ce-${name}`] = percentEncode(value);
  return { contentType: "application/json", body: Buffer.from(event.dataJson), headers };
}

/**
 * Encodes what a header cannot carry: space, double quote, percent, and everything beyond the printable ASCII range, as upper-case
 * percent escapes of the UTF-8 bytes (HTTP binding, section 3.1.3.2).
 */
function percentEncode(value: string): string {
  return value.replace(/[^\x21\x23\x24\x26-\x7e]+/g, (run) =>
    Buffer.from(run).toString("hex").toUpperCase().replace(/../g, "%$&"),
  );
}

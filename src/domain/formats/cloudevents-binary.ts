import { cloudEventsAttributes } from "./cloudevents-attributes.ts";
import type { EncodedPayload, PayloadEvent } from "./payload.ts";

/**
 * A CloudEvent in binary mode: the data alone as the body, the attributes as `ce-` headers (CloudEvents 1.0, HTTP binding, section 3.1).
 * `datacontenttype` is the content type, and no header of its own.
 */
export function encodeCloudEventsBinary(event: PayloadEvent): EncodedPayload {
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

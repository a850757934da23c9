import { cloudEventsAttributes } from "./cloudevents-attributes.ts";
import type { Format } from "./format.ts";
import type { EncodedPayload, PayloadEvent } from "./payload.ts";
import { standardSigning } from "./standard.ts";

/** CloudEvents 1.0 in structured mode, signed as Standard Webhooks. */
export const cloudEventsStructured: Format = { ...standardSigning, encode: encodeCloudEventsStructured };

/**
 * A CloudEvent in structured mode: attributes and data in one JSON object (CloudEvents 1.0, JSON event format, section 3). The data's text
 * stands in it unchanged.
 */
function encodeCloudEventsStructured(event: PayloadEvent): EncodedPayload {
  const members = cloudEventsAttributes(event).map(([name, value]) => `"${name}":${JSON.stringify(value)}`);
  members.push('"datacontenttype":"application/json"', `"data":${event.dataJson}`);
  return {
    contentType: "application/cloudevents+json; charset=utf-8",
    body: Buffer.from(`{${members.join(",")}}`),
    headers: {},
  };
}

import { cloudEventsAttributes } from "./cloudevents-attributes.ts";
import type { EncodedPayload, PayloadEvent } from "./payload.ts";

/**
 * A CloudEvent in structured mode: attributes and data in one JSON object (CloudEvents 1.0, JSON event format, section 3). The data's text
 * stands in it unchanged.
 */
export function encodeCloudEventsStructured(event: PayloadEvent): EncodedPayload {
  const members = cloudEventsAttributes(event).map(([name, value]) => `"${name}":${JSON.stringify(value)}`);
  members.push('"datacontenttype":"application/json"', `"data":${event.dataJson}`);
  return {
    contentType: "application/cloudevents+json; charset=utf-8",
    body: Buffer.from(`{${members.join(",")}}`),
    headers: {},
  };
}

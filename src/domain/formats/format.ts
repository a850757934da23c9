import { encodeCloudEventsBinary } from "./cloudevents-binary.ts";
import { encodeCloudEventsStructured } from "./cloudevents-structured.ts";
import type { EncodedPayload, PayloadEvent } from "./payload.ts";
import { encodeStandard } from "./standard.ts";

/** How an event is written into a request, as stored; the contract's names are these with `WEBHOOK_FORMAT_` before them. */
export type WebhookFormat = "STANDARD" | "CLOUDEVENTS_STRUCTURED" | "CLOUDEVENTS_BINARY";

/** Writes an event in a format. Pure, so that one result serves every webhook of that format and every attempt. */
export function encodePayload(format: WebhookFormat, event: PayloadEvent): EncodedPayload {
  switch (format) {
    case "STANDARD":
      return encodeStandard(event);
    case "CLOUDEVENTS_STRUCTURED":
      return encodeCloudEventsStructured(event);
    case "CLOUDEVENTS_BINARY":
      return encodeCloudEventsBinary(event);
  }
}

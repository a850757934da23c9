import type { EventRecord } from "../domain/event.ts";
import { encodePayload, type WebhookFormat } from "../domain/formats/format.ts";
import type { EncodedPayload } from "../domain/formats/payload.ts";
import { publicId } from "../domain/ids.ts";

/** What a delivery needs of its event. */
export type OutgoingEventRecord = Pick<
  EventRecord,
  "id" | "organizationId" | "type" | "dataJson" | "externalId" | "source" | "subject" | "occurredAt"
>;

/** An event on its way out: written once in each format, whichever number of webhooks gets it. */
export interface OutgoingEvent {
  id: string;
  organizationId: string;
  type: string;
  /** `evt_…`: what receivers see as webhook-id. */
  publicId: string;
  payload(format: WebhookFormat): EncodedPayload;
}

export function outgoingEvent(record: OutgoingEventRecord): OutgoingEvent {
  const id = publicId("event", record.id);
  const payloads = new Map<WebhookFormat, EncodedPayload>();
  return {
    id: record.id,
    organizationId: record.organizationId,
    type: record.type,
    publicId: id,
    payload(format) {
      let payload = payloads.get(format);
      if (payload === undefined) {
        payload = encodePayload(format, {
          id,
          type: record.type,
          occurredAt: record.occurredAt,
          dataJson: record.dataJson,
          organizationId: publicId("organization", record.organizationId),
          subject: record.subject ?? undefined,
          source: record.source ?? undefined,
          externalId: record.externalId ?? undefined,
        });
        payloads.set(format, payload);
      }
      return payload;
    },
  };
}

import type { EventRecord } from "./event.ts";
import { formatOf, type WebhookFormat } from "./formats/catalogue.ts";
import type { EncodedPayload, PayloadEvent } from "./formats/payload.ts";
import { publicId } from "./ids.ts";

/** What a delivery needs of its event. */
export type OutgoingEventRecord = Pick<
  EventRecord,
  "id" | "organizationId" | "type" | "dataJson" | "externalId" | "source" | "subject" | "occurredAt"
> & {
  /** The UUID of the delivery that the event sends once more. */
  replayOf?: string | null;
};

/** An event on its way out: written once in each format and configuration, whichever number of webhooks gets it. */
export interface OutgoingEvent {
  id: string;
  organizationId: string;
  type: string;
  /** `evt_…`: what receivers see as webhook-id. */
  publicId: string;
  /** Of its data, as far as it is known without counting: letters of more than one byte count as one. */
  bytes: number;
  payload(format: WebhookFormat, configJson: string | null): EncodedPayload;
}

export function outgoingEvent(record: OutgoingEventRecord): OutgoingEvent {
  const id = publicId("event", record.id);
  const payloads = new Map<string, EncodedPayload>();
  return {
    id: record.id,
    organizationId: record.organizationId,
    type: record.type,
    publicId: id,
    bytes: record.dataJson.length,
    payload(format, configJson) {
      const key = configJson === null ? format : `${format} ${configJson}`;
      const written = payloads.get(key);
      if (written !== undefined) {
        return written;
      }
      const payload = formatOf(format).encode(payloadEvent(record, id), configJson);
      payloads.set(key, payload);
      return payload;
    },
  };
}

function payloadEvent(record: OutgoingEventRecord, id: string): PayloadEvent {
  return {
    id,
    uuid: record.id,
    type: record.type,
    occurredAt: record.occurredAt,
    dataJson: record.dataJson,
    organizationId: record.organizationId,
    subject: record.subject ?? undefined,
    source: record.source ?? undefined,
    externalId: record.externalId ?? undefined,
    replayOf: record.replayOf ?? undefined,
  };
}

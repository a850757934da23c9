/** An event as the formats need it. `dataJson` is JSON text, checked when the event was accepted, and is never parsed again. */
export interface PayloadEvent {
  /** `evt_…`. */
  id: string;
  /** The same id as a bare UUID. */
  uuid: string;
  type: string;
  occurredAt: Date;
  /** The data as JSON text; it goes into the body as it stands. */
  dataJson: string;
  /** A UUID. */
  organizationId: string;
  subject?: string | undefined;
  /** The CloudEvents source that the publisher gave. */
  source?: string | undefined;
  /** The publisher's own id of the event. */
  externalId?: string | undefined;
  /** The UUID of the delivery that this event sends once more, in formats that tell. */
  replayOf?: string | undefined;
}

/** One event in one format: the same bytes for each webhook that has the format. */
export interface EncodedPayload {
  contentType: string;
  body: Buffer;
  /** What the format adds to the request's headers, in lower case, without the content type. */
  headers: Readonly<Record<string, string>>;
}

/** A delivery as a job of BullMQ. */
export interface DeliveryJob {
  eventId: string;
  organizationId: string;
  webhookId: string;
  url: string;
  type: string;
  timestamp: string;
  /** The event's data, as JSON text. */
  dataJson: string;
}

/** The name of the queue. */
export const queueName = "deliveries";

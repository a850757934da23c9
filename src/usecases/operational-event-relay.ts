import { encodeEventMessage } from "../broker/event-message.ts";
import type { EventRecord } from "../domain/event.ts";
import { OPERATIONAL_EVENT_SOURCE, type OperationalEvent } from "../domain/operational-event.ts";
import {
  claimOperationalEvents,
  releaseOperationalEvents,
  removeOperationalEvents,
} from "../store/sql/relay-operational-events.ts";
import { type BackgroundLoop, createBackgroundLoop } from "./background-loop.ts";
import type { Dependencies } from "./dependencies.ts";

/**
 * Publishes the events about Tellwire itself that were written with the changes they tell of, as events of their organizations, in their
 * order. They leave the database when the broker holds them, so that none is lost in an outage of either; one that is published twice is the
 * same event, by its id.
 */
export type OperationalEventRelay = BackgroundLoop;

export function createOperationalEventRelay({
  database: { sql },
  broker,
  subjectPrefix,
  publisherMark,
  log,
}: Pick<Dependencies, "database" | "broker" | "subjectPrefix" | "publisherMark" | "log">): OperationalEventRelay {
  return createBackgroundLoop({
    what: "publishing operational events",
    log,
    intervalMs: 1_000,
    async step() {
      const events = await claimOperationalEvents(sql, { limit: batchSize, claimMs });
      if (events.length === 0) return false;
      const ids = events.map(({ id }) => id);
      try {
        await broker.publish(events.map((event) => encodeEventMessage(eventOf(event), subjectPrefix, publisherMark)));
      } catch (error) {
        // Where this fails too, the claim runs out by itself.
        await releaseOperationalEvents(sql, ids).catch(() => {});
        throw error;
      }
      await removeOperationalEvents(sql, ids);
      return events.length === batchSize;
    },
  });
}

const batchSize = 200;

/** Longer than a broker takes to answer, or to be given up. */
const claimMs = 30_000;

function eventOf({ id, organizationId, type, dataJson, occurredAt }: OperationalEvent): EventRecord {
  return {
    id,
    organizationId,
    externalId: null,
    type,
    dataJson,
    source: OPERATIONAL_EVENT_SOURCE,
    subject: null,
    projectId: null,
    orderingKey: null,
    traceparent: null,
    occurredAt: new Date(occurredAt),
  };
}

import type { ServiceImpl } from "@connectrpc/connect";
import type { EventService } from "../../../gen/tellwire/v1/event_service_pb.ts";
import { publicId } from "../../domain/ids.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";
import { eventMessage, newEvent, requiredEvent } from "../messages/event-message.ts";
import { dateOf, optionalUuidOf } from "../messages/wire-values.ts";
import { createPublishEventStream, type PublishEventStreamOptions } from "./publish-event-stream.ts";

/** EventService on the use cases. */
export function createEventHandlers(
  { events }: UseCases,
  options: PublishEventStreamOptions,
): ServiceImpl<typeof EventService> {
  return {
    async publishEvent({ event }, context) {
      const [id = ""] = await events.publish(
        principalOf(context),
        [newEvent(requiredEvent(event), "event")],
        () => "event",
      );
      return { eventId: publicId("event", id) };
    },

    async publishEvents(request, context) {
      const fieldOf = (index: number): string => `events[${index}]`;
      const newEvents = request.events.map((event, index) => newEvent(event, fieldOf(index)));
      const ids = await events.publish(principalOf(context), newEvents, fieldOf);
      return { eventIds: ids.map((id) => publicId("event", id)) };
    },

    publishEventStream: createPublishEventStream(events.publishInOrder, options),

    async getEvent({ id, organizationId }, context) {
      const target = { id, organizationId: optionalUuidOf("organization", organizationId, "organization_id") };
      return { event: eventMessage(await events.get(principalOf(context), target)) };
    },

    async listEvents(request, context) {
      const filters = {
        organizationId: optionalUuidOf("organization", request.organizationId, "organization_id"),
        type: request.type,
        receivedAfter: dateOf(request.receivedAfter, "received_after"),
        receivedBefore: dateOf(request.receivedBefore, "received_before"),
      };
      const page = await events.list(principalOf(context), filters, request);
      return { events: page.items.map(eventMessage), nextPageToken: page.nextPageToken };
    },
  };
}

import { z } from "zod";
import { eventCatalogue } from "./event-catalogue.ts";
import { deliveryStatuses } from "./layers-delivery.ts";
import { endpointStatuses } from "./layers-endpoint.ts";

function text(max: number) {
  return z.string("must be a string").max(max, `must be at most ${max} characters`);
}

const url = text(2048).describe("Where events are sent: an HTTPS URL. http:// only where the server allows it.");

const event = z.enum(eventCatalogue, {
  error: ({ input }) => {
    const unknown = typeof input === "string" ? `: ${JSON.stringify(input.slice(0, 128))} is none` : "";
    return `must be an event type of the catalog${unknown}`;
  },
});

const events = z
  .array(event, "must be an array of event types")
  .min(1, "must have at least 1 event type")
  .max(50, "must have at most 50 event types")
  .transform((values) => [...new Set(values)])
  .describe("1 to 50 event types of the catalog.");

const description = text(1024).nullable().describe("A label for people.");

/** A UUID of any version. It is kept in lower case, the case in which events have to name it. */
const projectId = z.guid("must be a UUID").transform((value) => value.toLowerCase());

/** The body of a creation. Fields that the system does not know are ignored. */
export const createBody = z.object(
  {
    url,
    events,
    description: description.optional(),
    projectId: projectId
      .nullable()
      .optional()
      .describe("Left out: the endpoint gets events of the whole organization."),
  },
  "must be a JSON object",
);

/** The body of an update: what is left out stays. */
export const updateBody = z
  .object(
    {
      url: url.optional(),
      events: events.optional().describe("Replaces the events."),
      description: description.optional().describe("null clears it."),
      status: z
        .enum(["active", "paused"], "must be active or paused")
        .optional()
        .describe("active sets consecutiveFailureCount back to 0."),
    },
    "must be a JSON object",
  )
  .refine((body) => Object.keys(body).length > 0, "must have at least one of url, events, description and status");

/** The body of a test, where there is one. */
export const testBody = z
  .object(
    {
      payload: z
        .looseObject({}, "must be a JSON object")
        .optional()
        .describe("The event's data. Left out: a message with the ids of the endpoint and the organization."),
    },
    "must be a JSON object",
  )
  .default({});

const limitRule = "must be a whole number from 1 to 100";

const page = {
  cursor: z.string().default("").describe("The nextCursor of the page before."),
  limit: z.coerce
    .number(limitRule)
    .int(limitRule)
    .min(1, limitRule)
    .max(100, limitRule)
    .default(25)
    .describe("How many items a page has."),
};

/** The query of a list of endpoints. */
export const endpointsQuery = z.object({
  projectId: projectId
    .optional()
    .describe("Only endpoints of this project; those of the whole organization are left out."),
  status: z.enum(endpointStatuses, `must be one of ${endpointStatuses.join(", ")}`).optional(),
  ...page,
});

/** The query of an endpoint's delivery log. */
export const deliveriesQuery = z.object({
  eventType: text(128)
    .regex(/^[\w.-]*$/, "must be an event type")
    .default("")
    .describe("Only deliveries of events of this type."),
  status: z.enum(deliveryStatuses, `must be one of ${deliveryStatuses.join(", ")}`).optional(),
  ...page,
});

import { z } from "zod";
import { findUnstorableValue } from "../unstorable-value.ts";

/** Text that the store can hold, of `min` to `max` characters. */
function text(min: number, max: number) {
  return z
    .string("must be a string")
    .min(min, "must not be empty")
    .max(max, `must be at most ${max} characters`)
    .check(({ value, issues }) => {
      const problem = findUnstorableValue(value);
      if (problem !== undefined) issues.push({ code: "custom", message: problem.message, input: value });
    });
}

/** Each value once, in the order of its first place. */
function texts(item: z.ZodType<string>, max: number) {
  return z
    .array(item, "must be an array of strings")
    .max(max, `must have at most ${max} entries`)
    .transform((values) => [...new Set(values)]);
}

const eventType = text(1, 128).regex(
  /^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?|\*)$/,
  "must be an event name (letters, digits, _ and -, in parts joined by dots), such a name followed by .*, or *",
);

const fields = z.object(
  {
    url: text(1, 2048).describe("Where notifications are sent. Must be a valid HTTPS URL."),
    name: text(1, 128).describe("The name of the webhook, unique in the client."),
    isActive: z.boolean("must be true or false").describe("Whether the webhook gets notifications."),
    description: text(0, 1024).describe("What the webhook is for."),
    link: texts(text(1, 128), 100).describe("Ids of the project flows whose events the webhook gets. Empty: all."),
    events: texts(eventType, 200).describe("The event types that the webhook gets. Left out or empty: every event."),
    secret: text(1, 256).describe("The key that signs notifications. Left out on creation: one is made."),
  },
  "must be a JSON object",
);

/** The body of a creation. Fields that the system does not know are ignored. */
export const createBody = fields.partial({ description: true, link: true, events: true, secret: true });

/** The body of an update: what is left out stays. */
export const updateBody = fields.partial();

export type UpdateBody = z.output<typeof updateBody>;

/** The query of a list. A parameter without a value counts as left out. */
export const listQuery = z.object({
  page: wholeNumber(1, 1_000_000_000).default(1).describe("The page, from 1."),
  limit: wholeNumber(1, 100).default(10).describe("How many webhooks a page has."),
  isActive: z
    .enum(["true", "false"], "must be true or false")
    .transform((value) => value === "true")
    .optional()
    .describe("Only webhooks that are active, or only those that are not."),
  projectFlow: text(1, 128).optional().describe("Only webhooks that are linked to this project flow."),
});

function wholeNumber(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`;
  return z.coerce.number(message).int(message).min(min, message).max(max, message);
}

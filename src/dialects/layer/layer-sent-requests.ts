import { layerMediaType } from "./layer-accept.ts";

/** What receivers of Layer's webhooks get, as the `webhooks` of an OpenAPI 3.1 document. */
export function sentLayerRequests(): Record<string, unknown> {
  return {
    verification: {
      get: {
        operationId: "verifyReceiver",
        summary: "The verification of a receiver",
        description:
          "Sent once to the `target_url` after a registration, an activation and a change of the `target_url`. The webhook is active if the " +
          "answer is a 200 with the challenge as the whole body, within a second, and inactive otherwise.",
        security: [],
        tags: ["Webhooks"],
        parameters: [
          {
            name: "verification_challenge",
            in: "query",
            required: true,
            description: "A random value, added to the query that the `target_url` has.",
            schema: { type: "string" },
          },
        ],
        responses: {
          200: {
            description: "The receiver wants the webhook's events.",
            content: { "text/plain": { schema: { type: "string" } } },
          },
          "4XX": { description: "It does not." },
        },
      },
    },
    event: {
      post: {
        operationId: "receiveEvent",
        summary: "An event",
        description:
          "A 2xx within a second is success. Anything else is tried again after about 10, 30, 120, 300 and 1200 seconds; then the webhook is " +
          "inactive, and everything that waits for it is dropped. In the pre-release generation the content type is `application/json`, and " +
          "`event_timestamp`, `event_type` and `event_id` stand at the top in place of `event`.",
        security: [],
        tags: ["Webhooks"],
        parameters: [
          header("layer-webhook-event-type", "The type of the event, such as `message.sent`."),
          header(
            "layer-webhook-signature",
            "The HMAC-SHA1 of the body with the webhook's secret as the key, in lower-case hexadecimal.",
          ),
          header("layer-webhook-request-id", "A UUID, the same each time the request is tried again."),
          header("layer-webhook-id", "The UUID of the webhook."),
        ],
        requestBody: { required: true, content: contentOf("1.0", "2.0", "3.0") },
        responses: {
          "2XX": { description: "The receiver has the event." },
          "4XX": { description: "The receiver does not have the event: it is sent again later." },
        },
      },
    },
  };
}

function header(name: string, description: string) {
  return { name, in: "header", required: true, description, schema: { type: "string" } };
}

function contentOf(...versions: string[]) {
  const media = { schema: delivery, example };
  return Object.fromEntries(versions.map((version) => [`${layerMediaType}; version=${version}`, media]));
}

const delivery = {
  type: "object",
  description: "The data of the event, such as `message`, stands beside `event`.",
  properties: {
    event: {
      type: "object",
      properties: {
        created_at: { type: "string", format: "date-time" },
        type: { type: "string" },
        id: { type: "string", format: "uuid" },
        actor: { type: "object", description: "Who caused the event, where the publisher says so." },
      },
      required: ["created_at", "type", "id"],
    },
    config: { type: "object", description: "The `config` of the webhook, where it has one." },
  },
  required: ["event"],
  additionalProperties: true,
};

const example = {
  event: {
    created_at: "2015-09-17T20:46:47.561Z",
    type: "message.sent",
    id: "c12f340d-3b62-4cf1-9b93-ef4d754cfe69",
    actor: { user_id: "12345" },
  },
  message: { id: "layer:///messages/940de862-3c96-11e4-baad-164230d1df67" },
  config: { key1: "value1", key2: "value2" },
};

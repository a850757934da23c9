import type { JsonObject } from "@bufbuild/protobuf";

/** The section `webhooks`: the requests that receivers get. */
export const sentRequests: JsonObject = {
  event: {
    post: {
      ...sent("Tells of an event, as Standard Webhooks 1.0 writes it"),
      operationId: "Receiver_Event",
      description:
        "The format `WEBHOOK_FORMAT_STANDARD`. Verify the signature over the bytes as they came, answer with a 2xx, and do slow work afterwards. " +
        "The same `webhook-id` can come twice: do nothing twice. The formats of other systems (`WEBHOOK_FORMAT_LAYER_…`, `…_VERIFIK`, " +
        "`…_LAYERS`) are as those systems describe them.",
      parameters: signatureHeaders(),
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: { $ref: "#/components/schemas/SentEvent" },
            example: {
              type: "order.paid",
              timestamp: "2025-11-21T22:00:00.000Z",
              data: { order: "A-1042", amount: 4200 },
            },
          },
        },
      },
      responses: receipts(),
    },
  },
  eventAsStructuredCloudEvent: {
    post: {
      ...sent("Tells of an event, as a CloudEvent in structured mode"),
      operationId: "Receiver_StructuredCloudEvent",
      description: "The format `WEBHOOK_FORMAT_CLOUDEVENTS_STRUCTURED`: attributes and data in one JSON object.",
      parameters: signatureHeaders(),
      requestBody: {
        required: true,
        content: {
          "application/cloudevents+json": {
            schema: { $ref: "#/components/schemas/SentCloudEvent" },
            example: {
              specversion: "1.0",
              id: "evt_01k8djrfaefx88mtvwhpf0y6hb",
              source: "urn:tellwire:organization:org_01k8djrfaefx88mtvwhpf0y6hb",
              type: "order.paid",
              time: "2025-11-21T22:00:00.000Z",
              datacontenttype: "application/json",
              data: { order: "A-1042", amount: 4200 },
            },
          },
        },
      },
      responses: receipts(),
    },
  },
  eventAsBinaryCloudEvent: {
    post: {
      ...sent("Tells of an event, as a CloudEvent in binary mode"),
      operationId: "Receiver_BinaryCloudEvent",
      description:
        "The format `WEBHOOK_FORMAT_CLOUDEVENTS_BINARY`: the data alone is the body, the attributes are headers.",
      parameters: [
        ...signatureHeaders(),
        header("ce-specversion", "Always 1.0.", true, "1.0"),
        header("ce-id", "The publisher's own id of the event, or `evt_…`.", true, "evt_01k8djrfaefx88mtvwhpf0y6hb"),
        header(
          "ce-source",
          "The publisher's own source, or a URN of the organization.",
          true,
          "urn:tellwire:organization:org_01k8djrfaefx88mtvwhpf0y6hb",
        ),
        header("ce-type", "The event's type.", true, "order.paid"),
        header("ce-time", "When it happened.", true, "2025-11-21T22:00:00.000Z"),
        header("ce-subject", "What the event is about, where the publisher said so; percent-encoded.", false, "A-1042"),
      ],
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: { description: "The event's data, any JSON." },
            example: { order: "A-1042", amount: 4200 },
          },
        },
      },
      responses: receipts(),
    },
  },
  challenge: {
    get: {
      ...sent("Asks whether the receiver wants to be called, by a challenge"),
      operationId: "Receiver_Challenge",
      description:
        "The method `VERIFICATION_METHOD_CHALLENGE`, which is the default: when a webhook is created, when its URL changes, and by VerifyWebhook.",
      parameters: [
        {
          name: "verification_challenge",
          in: "query",
          required: true,
          description: "A random text, added to the query of the webhook's URL.",
          schema: { type: "string" },
          example: "pJ0ZcQm3m1s1Ew0n9rV5lq8tB2yXkD4u",
        },
      ],
      responses: {
        200: {
          description: "The value of `verification_challenge`, and nothing else: the receiver agrees. Any 2xx will do.",
          content: { "text/plain": { schema: { type: "string" } } },
        },
        "4XX": { description: "The receiver does not agree. The webhook gets no events." },
      },
    },
  },
  handshake: {
    options: {
      ...sent("Asks whether the receiver wants to be called, by the CloudEvents handshake"),
      operationId: "Receiver_Handshake",
      description:
        "The method `VERIFICATION_METHOD_CLOUDEVENTS`: section 4 of CloudEvents' HTTP 1.1 Web Hooks for Event Delivery. Requests with events " +
        "carry the origin from then on.",
      parameters: [
        header("WebHook-Request-Origin", "The host name that stands for the sender.", true, "tellwire.example.com"),
      ],
      responses: {
        200: {
          description: "The receiver agrees. Any 2xx will do.",
          headers: {
            "WebHook-Allowed-Origin": {
              description: "That origin, or `*`.",
              required: true,
              schema: { type: "string" },
            },
            "WebHook-Allowed-Rate": {
              description: "How many requests a minute are welcome.",
              schema: { type: "integer", minimum: 1 },
            },
          },
        },
        "4XX": { description: "The receiver does not agree. The webhook gets no events." },
      },
    },
  },
};

/** Components of the section. */
export const sentSchemas: JsonObject = {
  SentEvent: {
    type: "object",
    description: "An event as Standard Webhooks 1.0 writes it.",
    required: ["type", "timestamp", "data"],
    properties: {
      type: { type: "string", description: "The event's type." },
      timestamp: { type: "string", format: "date-time", description: "When it happened." },
      data: { description: "The publisher's data, byte for byte." },
    },
  },
  SentCloudEvent: {
    type: "object",
    description: "An event as a CloudEvent 1.0.",
    required: ["specversion", "id", "source", "type", "time", "datacontenttype", "data"],
    properties: {
      specversion: { const: "1.0", description: "The version of CloudEvents." },
      id: { type: "string", description: "The publisher's own id of the event, or `evt_…`." },
      source: {
        type: "string",
        format: "uri-reference",
        description: "The publisher's own source, or a URN of the organization.",
      },
      type: { type: "string", description: "The event's type." },
      time: { type: "string", format: "date-time", description: "When it happened." },
      subject: { type: "string", description: "What the event is about, where the publisher said so." },
      datacontenttype: { const: "application/json", description: "What the data is." },
      data: { description: "The publisher's data, byte for byte." },
    },
  },
};

function sent(summary: string): JsonObject {
  // Receivers need no key: they check the signature.
  return { summary, security: [] };
}

function signatureHeaders(): JsonObject[] {
  return [
    header("webhook-id", "The event's id: the same in every attempt.", true, "evt_01k8djrfaefx88mtvwhpf0y6hb"),
    header("webhook-timestamp", "The time of the attempt, in seconds since 1970.", true, "1763762400"),
    header(
      "webhook-signature",
      "`v1,` and the base64 of the HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`, or `v1a,` and the base64 of the ed25519 " +
        "signature of the same, where the webhook has a key pair; during a rotation one for each, with a space between.",
      true,
      "v1,yFDqCR5yMDBx4OWe5AlUyYfxB4X1oIl4JDUZzoQW9Ls=",
    ),
  ];
}

function header(name: string, description: string, required: boolean, example: string): JsonObject {
  return { name, in: "header", required, description, schema: { type: "string" }, example };
}

function receipts(): JsonObject {
  return {
    "2XX": { description: "The event was received. Nothing but a 2xx counts as that; redirects are not followed." },
    410: { description: "The receiver is gone: the webhook is disabled, and what waits for it is cancelled." },
    429: { description: "Too many: the next attempt waits as `Retry-After` says, up to 24 hours. So it does on 503." },
    default: { description: "Not received: the next attempt follows by the webhook's schedule." },
  };
}

import type { JsonObject } from "@bufbuild/protobuf";

/** What is served beside the contract's routes: the public keys of a webhook, which its receivers ask for. */
export const publicKeysPath: JsonObject = {
  "/.well-known/webhooks/{id}/jwks.json": {
    get: {
      operationId: "WebhookKeys_GetPublicKeys",
      tags: ["Webhooks"],
      summary: "Gets the public keys of a webhook, as a JWK Set",
      description:
        "For the receivers of a webhook that signs with a key pair (`SIGNING_ALGORITHM_ED25519`): the keys that its requests are signed with now, the " +
        "newest first. Needs no key. A webhook that signs with a secret alone is answered as one that does not exist.",
      security: [],
      parameters: [
        {
          name: "id",
          in: "path",
          required: true,
          description: "The webhook's id.",
          schema: { type: "string" },
          example: "wh_01k8djrfaefx88mtvwhpf0y6hb",
        },
        {
          name: "If-None-Match",
          in: "header",
          description: "The `ETag` of the answer before: where nothing has changed, the answer is 304.",
          schema: { type: "string" },
        },
      ],
      responses: {
        200: {
          description: "The keys. Nothing else of the webhook is told.",
          headers: cacheHeaders(),
          content: {
            "application/jwk-set+json": {
              schema: { $ref: "#/components/schemas/JwkSet" },
              example: {
                keys: [
                  {
                    kty: "OKP",
                    crv: "Ed25519",
                    x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                    kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
                    use: "sig",
                    alg: "EdDSA",
                  },
                ],
              },
            },
          },
        },
        304: { description: "The keys are those of the `ETag`.", headers: cacheHeaders() },
        404: { $ref: "#/components/responses/NotFound" },
        500: { $ref: "#/components/responses/InternalServerError" },
        503: { $ref: "#/components/responses/ServiceUnavailable" },
      },
    },
  },
};

/** Components that the path refers to. */
export const publicKeySchemas: JsonObject = {
  JwkSet: {
    type: "object",
    description: "Public keys (RFC 7517, section 5).",
    required: ["keys"],
    properties: {
      keys: {
        type: "array",
        description: "The newest first. Never empty.",
        minItems: 1,
        items: { $ref: "#/components/schemas/Jwk" },
      },
    },
  },
  Jwk: {
    type: "object",
    description: "A public key of ed25519 (RFC 8037, section 2).",
    required: ["kty", "crv", "x", "kid", "use", "alg"],
    properties: {
      kty: { const: "OKP", description: "The type of the key." },
      crv: { const: "Ed25519", description: "The curve." },
      x: { type: "string", pattern: "^[A-Za-z0-9_-]{43}$", description: "The 32 bytes of the key, in base64url." },
      kid: { type: "string", description: "The thumbprint of the key (RFC 7638), which never changes." },
      use: { const: "sig", description: "What the key is for: signatures." },
      alg: { const: "EdDSA", description: "What it signs with." },
    },
  },
};

function cacheHeaders(): JsonObject {
  return {
    ETag: { description: "Names these keys.", schema: { type: "string" } },
    "Cache-Control": { description: "For how long the answer may be kept: a minute.", schema: { type: "string" } },
  };
}

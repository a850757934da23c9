import { defineEntity, p } from "@mikro-orm/core";

/** A signing secret, sealed. The newest one has no end; a replaced one signs until `expiresAt`. */
export const WebhookSecretEntity = defineEntity({
  name: "WebhookSecret",
  tableName: "webhook_secret",
  properties: {
    id: p.uuid().primary(),
    webhookId: p.uuid(),
    sealed: p.blob(),
    /** Of a key pair: the 32 bytes of the public key. null: it is a secret. */
    publicKey: p.blob().nullable(),
    createdAt: p.datetime(),
    expiresAt: p.datetime().nullable(),
  },
});

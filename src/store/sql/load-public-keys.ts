import type { Sql } from "../sql.ts";

/** A public key of a webhook. */
export interface PublicKeyRow {
  webhookId: string;
  /** 32 bytes. */
  publicKey: Uint8Array;
  /** When it stops signing, in milliseconds since the epoch; null: never. */
  expiresAt: number | null;
}

/** The public keys of these webhooks, of each webhook the newest first. Those of webhooks that sign with secrets alone are none. */
export async function loadPublicKeys(sql: Sql, webhookIds: readonly string[]): Promise<PublicKeyRow[]> {
  return await sql.query<PublicKeyRow>(statement, [webhookIds]);
}

// Index: webhook_secret_webhook, at most four rows a webhook.
const statement = {
  name: "load-public-keys",
  text: `
    select webhook_id as "webhookId", public_key as "publicKey", (extract(epoch from expires_at) * 1000)::float8 as "expiresAt"
    from webhook_secret
    where webhook_id = any($1::uuid[]) and public_key is not null
    order by webhook_id, created_at desc, id desc`,
};

import { Migration } from "@mikro-orm/migrations";

/**
 * What a webhook's newest secret is, and the public half of each key pair, 32 bytes, beside the sealed private one: public keys are published
 * without opening anything.
 */
export class SigningKeys extends Migration {
  override up(): void {
    this.addSql(
      "alter table webhook add column signing_algorithm text not null default 'HMAC' check (signing_algorithm in ('HMAC', 'ED25519'))",
    );
    this.addSql("alter table webhook_secret add column public_key bytea");
  }
}

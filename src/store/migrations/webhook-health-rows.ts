import { Migration } from "@mikro-orm/migrations";

/**
 * Every webhook has its row of health from its creation on; those from before get theirs. The webhooks are locked first, in the order of their
 * ids, as whoever writes health does: none is deleted meanwhile, and nobody waits in a ring.
 */
export class WebhookHealthRows extends Migration {
  override up(): void {
    this.addSql(`
      insert into webhook_health (webhook_id, consecutive_failures, last_error)
      select w.id, 0, '' from webhook w
      where not exists (select from webhook_health h where h.webhook_id = w.id)
      order by w.id
      for key share of w
      on conflict (webhook_id) do nothing`);
  }
}

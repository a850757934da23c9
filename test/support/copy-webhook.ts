import type { Database } from "../../src/store/database.ts";

/** Makes so many webhooks more that are as this one is, but for its secrets, of which they have none. Returns their ids. */
export async function copyWebhook(database: Database, webhookId: string, count: number): Promise<string[]> {
  const text = `
    with copied as (
      insert into webhook
      select (jsonb_populate_record(w, jsonb_build_object('id', gen_random_uuid()))).*
      from webhook w, generate_series(1, $2::integer)
      where w.id = $1
      returning id
    )
    insert into webhook_health (webhook_id, consecutive_failures, last_error) select id, 0, '' from copied
    returning webhook_id as id`;
  const rows = await database.sql.query<{ id: string }>({ name: "", text }, [webhookId, count]);
  return rows.map(({ id }) => id);
}

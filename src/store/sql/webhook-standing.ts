import type { Sql } from "../sql.ts";

/** How a webhook stands to a project: of it alone, of others too, or not of it. */
export type WebhookStanding = "own" | "shared" | "foreign";

/** Foreign too where there is no such webhook. Index: the primary key. */
export async function readWebhookStanding(
  sql: Pick<Sql, "query">,
  { webhookId, projectId }: { webhookId: string; projectId: string },
): Promise<WebhookStanding> {
  const [row] = await sql.query<{ standing: WebhookStanding }>(read, [webhookId, projectId]);
  return row?.standing ?? "foreign";
}

const read = {
  name: "read-webhook-standing",
  text: `
    select case when not project_ids @> array[$2::text] then 'foreign' when project_ids <@ array[$2::text] then 'own' else 'shared' end
      as standing
    from webhook where id = $1::uuid`,
};

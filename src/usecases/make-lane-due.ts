import type { SqlEntityManager } from "@mikro-orm/sql";
import type { ChangeMarks } from "./changes.ts";

/** Makes a webhook's lane due now, after what it is due for was written in the same transaction. A lane that is not there is made. */
export async function makeLaneDue(em: SqlEntityManager, webhookId: string, marks: ChangeMarks): Promise<void> {
  await em.execute(
    `insert into lane (webhook_id, organization_id, due_at)
     values (?, (select organization_id from webhook where id = ?), now())
     on conflict (webhook_id) do update set due_at = least(lane.due_at, excluded.due_at)`,
    [webhookId, webhookId],
  );
  marks.lanesDue();
}

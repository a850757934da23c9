import type { SqlEntityManager } from "@mikro-orm/sql";
import type { ChangeMarks } from "./changes.ts";
import { makeLaneDue } from "./make-lane-due.ts";

/**
 * What waits for its turn behind other deliveries of a webhook is due now: the webhook asks for no order any more. Call it after that is written.
 * The lane first: who gives turns, or records what has to wait for one, holds its row too. Then one statement for however many wait (index
 * scheduled_delivery_due).
 */
export async function endOrdering(em: SqlEntityManager, webhookId: string, marks: ChangeMarks): Promise<void> {
  await makeLaneDue(em, webhookId, marks);
  await em.execute(
    `update scheduled_delivery set next_attempt_at = now(), ordering_key = null, sequence = null
     where webhook_id = ? and next_attempt_at = 'infinity'`,
    [webhookId],
  );
}

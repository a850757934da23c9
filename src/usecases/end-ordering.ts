import type { SqlEntityManager } from "@mikro-orm/sql";
import { endTurns } from "../store/sql/turns.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import type { ChangeMarks } from "./changes.ts";
import { makeLaneDue } from "./make-lane-due.ts";

/**
 * What waits for its turn behind other deliveries of a webhook is due now: the webhook asks for no order any more. Call it after that is written.
 * The lane first: who gives turns, or records what has to wait for one, holds its row too. That is why this makes the first thousand due, and the
 * worker of the lane the others.
 */
export async function endOrdering(em: SqlEntityManager, webhookId: string, marks: ChangeMarks): Promise<void> {
  await makeLaneDue(em, webhookId, marks);
  await endTurns(transactionSql(em), webhookId);
}

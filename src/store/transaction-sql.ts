import type { SqlEntityManager } from "@mikro-orm/sql";
import { CompiledQuery, type Kysely } from "kysely";
import { sendable } from "./binary-arrays.ts";
import type { Sql } from "./sql.ts";

/** The set-based statements inside a transaction of the ORM (`em.transactional`): they are committed and rolled back with it. */
export function transactionSql(em: SqlEntityManager): Sql {
  const sql: Sql = {
    async query<Row>({ text }: { text: string }, parameters: readonly unknown[]) {
      const transaction = em.getTransactionContext<Kysely<unknown>>();
      if (transaction === undefined) throw new Error("transactionSql works inside a transaction only");
      const { rows } = await transaction.executeQuery(CompiledQuery.raw(text, parameters.map(sendable)));
      return rows as Row[];
    },
    transaction: (work) => work(sql),
    listen: () => Promise.reject(new Error("listen does not work inside a transaction")),
  };
  return sql;
}

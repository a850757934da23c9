import { type PGlite, types } from "@electric-sql/pglite";
import { sendable } from "./binary-arrays.ts";
import type { Sql, Statement } from "./sql.ts";

/** Sql on an embedded PGlite. It has one connection: statements wait for one another, and nothing is ever lost on the way. */
export function createPgliteSql(pglite: PGlite): Sql {
  return {
    ...querying(pglite),
    transaction: (work) => pglite.transaction((transaction) => work(inTransaction(transaction))),
    async listen(channel, onNotification) {
      const stop = await pglite.listen(channel, onNotification);
      // Statements call back what they notified before they return.
      return Object.assign(() => stop(), { caughtUp: () => Promise.resolve(), isListening: () => true });
    },
  };
}

type Querying = Pick<PGlite, "query">;

function querying(client: Querying): Pick<Sql, "query"> {
  return {
    async query<Row>(statement: Statement, parameters: readonly unknown[]) {
      const { rows } = await client.query<Row>(statement.text, parameters.map(sendable), { parsers: int8AsNumber });
      return rows;
    },
  };
}

function inTransaction(transaction: Querying): Sql {
  const sql: Sql = {
    ...querying(transaction),
    transaction: (work) => work(sql),
    listen: () => Promise.reject(new Error("listen does not work inside a transaction")),
  };
  return sql;
}

/** Counters and sequences stay far below 2^53. */
const int8AsNumber = { [types.INT8]: Number };

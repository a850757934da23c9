import type { Sql } from "../store/sql.ts";

/**
 * The same database for work that can wait: at most so many of its statements and transactions are under way at a time, and the others wait
 * here, in their order, not in the line for the connections that everybody shares.
 */
export function boundedSql(sql: Sql, max: number): Sql {
  const waiting: (() => void)[] = [];
  let underWay = 0;

  const bounded = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (underWay >= max) {
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      underWay += 1;
    }
    try {
      return await work();
    } finally {
      // The place goes on to who has waited longest.
      const next = waiting.shift();
      if (next === undefined) {
        underWay -= 1;
      } else {
        next();
      }
    }
  };

  return {
    ...sql,
    query: (statement, parameters) => bounded(() => sql.query(statement, parameters)),
    transaction: (work) => bounded(() => sql.transaction(work)),
  };
}

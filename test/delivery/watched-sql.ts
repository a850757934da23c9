import type { Sql, Statement } from "../../src/store/sql.ts";

/** The same database; what it tells is kept once whoever listens has been told. */
export function hearing(sql: Sql, heard: string[]): Sql {
  return {
    ...sql,
    listen: (channel, onNotification, onGap) =>
      sql.listen(
        channel,
        (payload) => {
          onNotification(payload);
          heard.push(payload);
        },
        onGap,
      ),
  };
}

/** Runs before the statement does, unless it asks for its rows. */
type Watch = (rows: () => Promise<unknown[]>) => Promise<void>;

/** The same database; statements of these names can be watched, or fail. */
export function watched(sql: Sql, watches: Record<string, Watch>): Sql {
  return {
    ...sql,
    async query<Row>(statement: { name: string; text: string }, parameters: readonly unknown[]) {
      let running: Promise<Row[]> | undefined;
      const rows = () => {
        running ??= sql.query<Row>(statement, parameters);
        return running;
      };
      await watches[statement.name]?.(rows);
      return await rows();
    },
  };
}

/** The same database; the rows of the statement of this name have other values in some columns. */
export function answering(sql: Sql, name: string, values: object): Sql {
  return {
    ...sql,
    async query<Row>(statement: Statement, parameters: readonly unknown[]) {
      const rows = await sql.query<Row>(statement, parameters);
      return statement.name === name ? rows.map((row) => ({ ...row, ...values })) : rows;
    },
  };
}

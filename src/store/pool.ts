import type { Client, Pool, PoolClient } from "pg";
import type { Sql, Statement } from "./sql.ts";

/** Sql on a pool of connections to a Postgres server. */
export function createPoolSql(pool: Pool, connectListener: () => Client): Sql {
  return {
    ...querying(pool),
    async transaction(work) {
      const client = await pool.connect();
      try {
        await client.query("begin");
        const result = await work(inTransaction(client));
        await client.query("commit");
        client.release();
        return result;
      } catch (error) {
        await rollBack(client);
        throw error;
      }
    },
    listen: (channel, onNotification, onGap) => listen(connectListener, channel, onNotification, onGap),
  };
}

function querying(client: Pool | PoolClient): Pick<Sql, "query"> {
  return {
    async query<Row>({ name, text }: Statement, parameters: readonly unknown[]) {
      const { rows } = await client.query({ name, text, values: [...parameters] });
      return rows as Row[];
    },
  };
}

function inTransaction(client: PoolClient): Sql {
  const sql: Sql = {
    ...querying(client),
    transaction: (work) => work(sql),
    listen: () => Promise.reject(new Error("listen does not work inside a transaction")),
  };
  return sql;
}

/** A connection whose rollback fails is broken: it does not go back into the pool. */
async function rollBack(client: PoolClient): Promise<void> {
  try {
    await client.query("rollback");
    client.release();
  } catch (error) {
    client.release(error instanceof Error ? error : true);
  }
}

const reconnectDelayMs = 500;

/** Listens on a connection of its own, and connects again for as long as nobody stops it. */
async function listen(
  connect: () => Client,
  channel: string,
  onNotification: (payload: string) => void,
  onGap: () => void,
): Promise<() => Promise<void>> {
  let stopped = false;
  let client: Client | undefined;
  let timer: NodeJS.Timeout | undefined;

  const open = async (): Promise<void> => {
    const opened = connect();
    opened.on("notification", ({ payload }) => onNotification(payload ?? ""));
    opened.on("error", () => {});
    opened.on("end", () => again());
    client = opened;
    await opened.connect();
    await opened.query(`listen ${channel}`);
  };
  const again = (): void => {
    if (stopped || timer !== undefined) {
      return;
    }
    timer = setTimeout(() => {
      timer = undefined;
      open().then(onGap, () => again());
    }, reconnectDelayMs);
  };

  await open();
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await client?.end().catch(() => {});
  };
}

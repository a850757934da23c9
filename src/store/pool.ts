import { setTimeout as delay } from "node:timers/promises";
import type { Client, Pool, PoolClient } from "pg";
import { createSharedRead } from "../domain/shared-read.ts";
import type { HearingConnections } from "./hearing-connections.ts";
import type { Sql, Statement, StopListening } from "./sql.ts";

export interface Pools {
  pool: Pool;
  /** For the statements that are planned once. */
  plannedOnce: Pool;
  /** Those of `plannedOnce`. */
  hearing: HearingConnections;
}

/** Sql on pools of connections to a Postgres server. */
export function createPoolSql({ pool, plannedOnce, hearing }: Pools, connectListener: ConnectListener): Sql {
  const [planned, others] = [querying(plannedOnce), querying(pool)];
  return {
    query: (statement, parameters) => (statement.plannedOnce === true ? planned : others).query(statement, parameters),
    async transaction(work) {
      const client = await pool.connect();
      try {
        const result = await transact(client, work);
        client.release();
        return result;
      } catch (error) {
        await rollBack(client);
        throw error;
      }
    },
    async listen(channel, onNotification, onGap, { withStatements = false } = {}) {
      const stop = await listen(connectListener, channel, onNotification, onGap);
      if (!withStatements) return stop;
      const leave = hearing.join({ channel, onNotification, caughtUp: stop.caughtUp });
      return Object.assign(
        async () => {
          leave();
          await stop();
        },
        { caughtUp: stop.caughtUp, isListening: stop.isListening },
      );
    },
  };
}

/** Makes a client to listen on, which closes its connection where a statement is not answered within the time. */
type ConnectListener = (timeoutMs: number) => Client;

/** Sql on one connection, which the caller has and gives back: settings of the session and its locks hold from one statement to the next. */
export function createSessionSql(client: PoolClient): Sql {
  return {
    ...querying(client),
    async transaction(work) {
      try {
        return await transact(client, work);
      } catch (error) {
        await client.query("rollback").catch(() => {});
        throw error;
      }
    },
    listen: () => Promise.reject(new Error("listen needs a connection of its own")),
  };
}

async function transact<Result>(client: PoolClient, work: (transaction: Sql) => Promise<Result>): Promise<Result> {
  await client.query("begin");
  const result = await work(inTransaction(client));
  await client.query("commit");
  return result;
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
/** How long a connection that listens may take to answer before it is taken for lost. */
const silenceMs = 2_000;
/** How often it is asked: nothing else would tell a quiet connection from one that the network lost. */
const heartbeatMs = 5_000;

/** Listens on a connection of its own, and connects again for as long as nobody stops it. */
async function listen(
  connect: ConnectListener,
  channel: string,
  onNotification: (payload: string) => void,
  onGap: () => void,
): Promise<StopListening> {
  let stopped = false;
  let client: Client | undefined;
  /** The connection that listens, while it does. */
  let listening: Client | undefined;
  let timer: NodeJS.Timeout | undefined;

  const open = async (): Promise<Client> => {
    const opened = connect(silenceMs);
    opened.on("notification", ({ payload }) => onNotification(payload ?? ""));
    opened.on("error", () => {});
    opened.on("end", () => {
      listening = undefined;
      again();
    });
    client = opened;
    await opened.connect();
    await answerOf(opened, `listen ${channel}`);
    return opened;
  };
  /** One that does not answer is closed, and another one follows. */
  const answerOf = async (asked: Client, text: string): Promise<void> => {
    try {
      await asked.query(text);
    } catch (error) {
      void asked.end().catch(() => {});
      throw error;
    }
  };
  const again = (): void => {
    if (stopped || timer !== undefined) {
      return;
    }
    timer = setTimeout(() => {
      timer = undefined;
      open().then(
        // Whoever asks whether this listens has been told of the gap before it hears that it does.
        (opened) => {
          onGap();
          listening = opened;
        },
        () => again(),
      );
    }, reconnectDelayMs);
  };

  listening = await open();
  const beating = setInterval(() => {
    if (listening !== undefined) caughtUp().catch(() => {});
  }, heartbeatMs).unref();
  const stop = async (): Promise<void> => {
    stopped = true;
    clearTimeout(timer);
    clearInterval(beating);
    const silence = delay(silenceMs, undefined, { ref: false });
    await Promise.race([client?.end().catch(() => {}), silence]);
  };
  const lost = (cause?: unknown): Error => new Error(`the connection that listens to ${channel} is lost`, { cause });
  // The server sends the notifications that it has for a connection before it says that it is done with a text, of whatever statements. Of none at all:
  // a `select 1`, which needs a plan, costs half as much again, here and there.
  const caughtUp = createSharedRead(0, async () => {
    const asked = listening;
    try {
      if (asked !== undefined) await answerOf(asked, "");
    } catch (cause) {
      throw lost(cause);
    }
    if (asked === undefined || asked !== listening) throw lost();
  });
  return Object.assign(stop, { caughtUp, isListening: () => listening !== undefined });
}

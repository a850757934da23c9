/**
 * The narrow way to the database for set-based statements, the same on a Postgres server (pool.ts) and on the embedded PGlite (pglite.ts).
 * Parameters are numbered (`$1`). A JS array is a Postgres array; a BinaryArray (binary-arrays.ts) is one that is cheaper to send, for hot
 * statements; a Buffer is bytea. Times come back as the statements write them: the hot statements use milliseconds since the epoch.
 */
export interface Sql {
  query<Row>(statement: Statement, parameters: readonly unknown[]): Promise<Row[]>;
  /** Runs the work in one transaction: committed when it returns, rolled back when it throws. */
  transaction<Result>(work: (transaction: Sql) => Promise<Result>): Promise<Result>;
  /**
   * Calls back for each NOTIFY on the channel. `onGap` is called when notifications may have been missed: the connection was lost, and is
   * there again.
   */
  listen(
    channel: string,
    onNotification: (payload: string) => void,
    onGap: () => void,
    options?: ListenOptions,
  ): Promise<StopListening>;
}

export interface ListenOptions {
  /**
   * Connections of statements that are planned once call back too, so that it may be called several times for one NOTIFY, and such a statement can say by its answer
   * that everything was heard that was notified before it (`hasHeard` of hearing-connections.ts). One channel can have this.
   */
  withStatements?: boolean;
}

/** A statement with a name is parsed once for each connection, and planned at each execution; one with an empty name is not kept at all. */
export interface Statement {
  name: string;
  text: string;
  /**
   * Planned once for each connection too, with indexes wherever there are some: for a statement that runs hundreds of times a second, whose plan costs a good
   * part of what it does, and which has no better way than by its indexes, however its tables grow. Outside of transactions.
   */
  plannedOnce?: true;
}

/** Ends the listening. */
export interface StopListening {
  (): Promise<void>;
  /**
   * Resolves when everything has been called back that was notified before the call, by a transaction whose commit somebody knows of. Rejects
   * where the connection is lost: then `onGap` follows.
   */
  caughtUp(): Promise<void>;
  /** False while the connection is known to be lost: what is notified now is missed, and `onGap` follows. */
  isListening(): boolean;
}

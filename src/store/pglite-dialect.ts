import type { PGlite } from "@electric-sql/pglite";
import { type DatabaseConnection, type Driver, PGliteDialect, PGliteDriver } from "kysely";

/**
 * Kysely's dialect for PGlite hands its one connection to everybody at once, so that a query of one caller would land in the open
 * transaction of another. Here each caller waits until the connection is given back.
 */
export class SerialPgliteDialect extends PGliteDialect {
  readonly #pglite: PGlite;

  constructor(options: { pglite: PGlite }) {
    super(options);
    this.#pglite = options.pglite;
  }

  override createDriver(): Driver {
    return new SerialPgliteDriver({ pglite: this.#pglite });
  }
}

class SerialPgliteDriver extends PGliteDriver {
  #free: Promise<void> = Promise.resolve();
  #release: () => void = () => {};

  override async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#free;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#free = promise;
    await before;
    this.#release = resolve;
    return await super.acquireConnection();
  }

  override async releaseConnection(): Promise<void> {
    this.#release();
  }
}

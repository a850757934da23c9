import { type Database, openPostgres } from "../../src/store/database.ts";

/**
 * A database server as the product opens it, with more patience: a service that gets no connection for five seconds says so, while a test's own
 * process may stand still for as long.
 */
export function openTestPostgres(url: string, { maxConnections }: { maxConnections: number }): Promise<Database> {
  return openPostgres(url, { maxConnections, connectTimeoutMs: 60_000 });
}

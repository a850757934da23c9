import type { Config } from "../../config.ts";
import { createSecretBox, type SecretBox } from "../../domain/secret-box.ts";
import { TellwireError } from "../../errors.ts";
import { loadSecretsKeys } from "../../secrets-key-file.ts";
import { type Database, openEmbedded, openPostgres } from "../../store/database.ts";

/** A database, and the keys that its secrets are sealed with. */
export interface SealedStore {
  database: Database;
  secretBox: SecretBox;
}

/**
 * Does work on the configured database with the configured keys, and closes it. Throws CONFIG_INVALID where the tables are not up to date, or the
 * embedded database is in use by a running process.
 */
export async function withSealedStore<Result>(
  config: Config,
  work: (store: SealedStore) => Promise<Result>,
): Promise<Result> {
  const database =
    config.databaseUrl === undefined
      ? await openEmbedded(config.dataDir)
      : await openPostgres(config.databaseUrl, { maxConnections: 2 });
  try {
    const pending = await database.pendingMigrations();
    if (pending.length > 0) {
      const names = pending.join(", ");
      throw new TellwireError("CONFIG_INVALID", `the database lacks migrations (${names}): run \`tellwire migrate\``);
    }
    return await work({ database, secretBox: createSecretBox({ keys: await loadSecretsKeys(config) }) });
  } finally {
    await database.close();
  }
}

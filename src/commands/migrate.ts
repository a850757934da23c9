import type { Config } from "../config.ts";
import { openEmbedded, openPostgres } from "../store/database.ts";

/** Brings the tables of the configured database up to date, and prints which migrations ran. */
export async function migrate(config: Config, print: (text: string) => void): Promise<void> {
  const database =
    config.databaseUrl === undefined
      ? await openEmbedded(config.dataDir)
      : await openPostgres(config.databaseUrl, { maxConnections: config.databaseMaxConnections });
  try {
    const names = await database.migrate();
    for (const name of names) print(`migrated: ${name}\n`);
    print(names.length === 0 ? "nothing to migrate: the tables are up to date\n" : "the tables are up to date\n");
  } finally {
    await database.close();
  }
}

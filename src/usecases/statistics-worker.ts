import { analyzeGrownTables } from "../store/sql/analyze-grown-tables.ts";
import { type BackgroundLoop, createBackgroundLoop } from "./background-loop.ts";
import type { Dependencies } from "./dependencies.ts";

/** Keeps what Postgres believes of the tables that fill and empty close to what they are (`analyzeGrownTables`). */
export type StatisticsWorker = BackgroundLoop;

export function createStatisticsWorker({
  database: { sql },
  log,
}: Pick<Dependencies, "database" | "log">): StatisticsWorker {
  return createBackgroundLoop({
    what: "keeping the statistics of the tables",
    log,
    intervalMs: 1_000,
    async step() {
      await analyzeGrownTables(sql);
      return false;
    },
  });
}

import type { TestProject } from "vitest/node";
import { startSharedNats } from "./nats.ts";
import { startPostgres, type TestPostgres } from "./postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgres: TestPostgres;
    /** The URL of the nats-server of this run, with JetStream. */
    natsUrl: string;
  }
}

/** Starts one Postgres and one nats-server for the whole run, and stops them after it. */
export async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  // One after the other: each may have to install its package.
  const nats = await startSharedNats();
  const postgres = await startPostgres().catch(async (error: unknown) => {
    await nats.stop();
    throw error;
  });
  provide("natsUrl", nats.url);
  provide("postgres", { url: postgres.url, template: postgres.template });
  return async () => {
    await Promise.all([nats.stop(), postgres.stop()]);
  };
}

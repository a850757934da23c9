import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type PrivateNats, startNats } from "../test/support/nats.ts";
import { type PostgresServer, startPostgresServer } from "../test/support/postgres-server.ts";
import { tellwireSettings } from "../test/support/tellwire.ts";
import { makeTemporaryFolder } from "../test/support/temporary-folder.ts";
import type { Link, ProcessName } from "./disturbances.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";
import { openTellwireSlot, type TellwireSlot } from "./tellwire-slot.ts";

/** Everything that runs beside the harness: all of it started here, and ended by `close`. */
export interface Servers {
  postgres: PostgresServer;
  nats: PrivateNats | undefined;
  slots: ReadonlyMap<ProcessName, TellwireSlot>;
  operatorKey: string;
  /** Undefined where the process has no connection to the server. */
  proxyOf(link: Link): TcpProxy | undefined;
  /** Writes down what was done to the servers. */
  note(line: string): void;
  /** Files with what was said and done, by the name that they are kept under. */
  logs(): Record<string, string>;
  close(): Promise<void>;
}

export interface ServersOptions {
  broker: "jetstream" | "postgres";
  processes: number;
  elapsedMs: () => number;
}

/** Crashes are to lose nothing that Postgres said is committed. */
const postgresSettings = { fsync: "on", full_page_writes: "on", synchronous_commit: "on" };

/** As many attempts as it takes for a receiver's trouble to pass; giving up is for those events that are refused for ever. */
const retryDelays = "100ms,200ms,300ms,500ms,700ms,1s,1s,1s,1s,1s,2s,2s,2s,2s,2s,3s,3s,3s,3s";

/** Starts Postgres, NATS where it is the broker, and the processes, which reach both by way of proxies of their own. */
export async function startServers({ broker, processes, elapsedMs }: ServersOptions): Promise<Servers> {
  const closing: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) {
      await end();
    }
  };
  try {
    const folder = makeTemporaryFolder("chaos");
    closing.push(folder.remove);
    const actions = join(folder.path, "actions");
    const postgres = await startPostgresServer(postgresSettings);
    closing.push(postgres.stop);
    const nats = broker === "jetstream" ? await startNats() : undefined;
    closing.push(async () => await nats?.stop());

    const shared = tellwireSettings({ TELLWIRE_DATABASE_URL: postgres.url, ...settings });
    const proxies = new Map<string, TcpProxy>();
    const proxied = async (link: Link, url: string): Promise<string> => {
      const through = new URL(url);
      const proxy = await startTcpProxy(Number(through.port));
      closing.push(proxy.close);
      proxies.set(linkName(link), proxy);
      through.port = `${proxy.port}`;
      return through.href;
    };
    const slots = new Map<ProcessName, TellwireSlot>();
    for (let number = 1; number <= processes; number++) {
      const process: ProcessName = `tellwire ${number}`;
      const environment: Record<string, string> = {
        ...shared.environment,
        TELLWIRE_DATABASE_URL: await proxied({ process, server: "postgres" }, postgres.url),
      };
      if (nats !== undefined) {
        environment.TELLWIRE_NATS_URL = await proxied({ process, server: "nats" }, nats.url);
      }
      const slot = openTellwireSlot({ folder: join(folder.path, process), environment });
      closing.push(slot.stop);
      slots.set(process, slot);
      // One after the other at first: it is the first one that makes the tables.
      await slot.up();
    }
    return {
      postgres,
      nats,
      slots,
      operatorKey: shared.operatorKey,
      proxyOf: (link) => proxies.get(linkName(link)),
      note: (line) => appendFileSync(actions, `${(elapsedMs() / 1000).toFixed(3).padStart(9)} ${line}\n`),
      logs: () => ({
        actions,
        postgres: postgres.logFile,
        ...Object.fromEntries([...slots].map(([name, { logFile }]) => [name, logFile])),
      }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const settings = {
  TELLWIRE_RETRY_DELAYS: retryDelays,
  TELLWIRE_DELIVERY_TIMEOUT_MS: "3000",
  TELLWIRE_CONCURRENCY_PER_WEBHOOK: "16",
  TELLWIRE_SHUTDOWN_GRACE_MS: "3000",
};

/** Starts a server again, however long its port or its data are held by what is left of the one before. */
export async function restartServer(server: { restart(): Promise<void> }): Promise<void> {
  for (let triesLeft = 200; ; triesLeft--) {
    try {
      return await server.restart();
    } catch (error) {
      if (triesLeft === 0) {
        throw error;
      }
      await delay(200);
    }
  }
}

function linkName({ process, server }: Link): string {
  return `${process} ${server}`;
}

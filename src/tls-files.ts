import { readFile } from "node:fs/promises";
import type { ServerTls } from "./api/servers/server-tls.ts";
import type { Config } from "./config.ts";
import { TellwireError } from "./errors.ts";

/** Reads what the configuration names; undefined: no TLS. Throws CONFIG_INVALID, with the variable and the path, for a file that cannot be read. */
export async function readTlsFiles({ tls, grpcClients }: TlsConfig): Promise<ServerTls | undefined> {
  if (tls === undefined) return undefined;
  const [cert, key, ca] = await Promise.all([
    readPem("TELLWIRE_TLS_CERT", tls.certPath),
    readPem("TELLWIRE_TLS_KEY", tls.keyPath),
    grpcClients === undefined ? undefined : readPem("TELLWIRE_GRPC_CLIENT_CA", grpcClients.caPath),
  ]);
  if (grpcClients === undefined || ca === undefined) return { cert, key };
  return { cert, key, clients: { ca, isRequired: grpcClients.isRequired } };
}

export type TlsConfig = Pick<Config, "tls" | "grpcClients">;

export interface TlsWatch {
  /** Waits for the look that is under way, and takes no other. */
  stop(): Promise<void>;
}

export interface TlsWatchOptions {
  config: TlsConfig;
  /** What the servers have now. */
  current: ServerTls;
  /** Has the servers use something else. What it throws is logged, and the servers keep what they have. */
  use: (tls: ServerTls) => void;
  intervalMs: number;
  log: { info(details: object, message: string): void; error(details: object, message: string): void };
}

/**
 * Looks at the files again and again, and has the servers use what has changed in them: certificates are replaced where they lie, without a restart.
 * It is the content that counts, since times and inodes say nothing where a folder is swapped for another. A certificate and a key that do not
 * belong together, as when only one of them has been written yet, change nothing until they do.
 */
export function watchTlsFiles({ config, current, use, intervalMs, log }: TlsWatchOptions): TlsWatch {
  let used = JSON.stringify(current);
  let refused: string | undefined;
  let looking: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    let found: string | undefined;
    try {
      const tls = await readTlsFiles(config);
      found = JSON.stringify(tls);
      if (found === used) refused = undefined;
      if (tls === undefined || found === used || found === refused) return;
      use(tls);
      used = found;
      log.info({}, "the files for TLS have changed: new connections use them");
    } catch (error) {
      // Said once for each state of the files, not at each look.
      const state = found ?? String(error);
      if (state !== refused)
        log.error({ err: error }, "the files for TLS have changed and cannot be used: the old ones stay in use");
      refused = state;
    }
  }

  const timer = setInterval(() => {
    looking = looking.then(look);
  }, intervalMs);
  return {
    async stop() {
      clearInterval(timer);
      await looking;
    },
  };
}

async function readPem(variable: string, path: string): Promise<string> {
  return await readFile(path, "utf8").catch((cause) => {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new TellwireError("CONFIG_INVALID", `${variable}: ${path} cannot be read (${code})`, { cause });
  });
}

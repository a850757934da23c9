import { readFile } from "node:fs/promises";
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
  type Status,
} from "@nats-io/transport-node";
import { TellwireError } from "../errors.ts";
import type { BrokerLog } from "./broker.ts";

export interface NatsOptions {
  /** One or more servers, separated by commas: `nats://user:password@host:4222`, `tls://…`, or a token in the place of the user. */
  url: string;
  /** A file as `nsc` writes it (JWT and seed), read when connecting for the first time. */
  credentialsFile?: string | undefined;
  /** Paths of PEM files; given, or with a `tls://` URL, the connection is encrypted or refused. */
  tls?: { caFile?: string | undefined; certFile?: string | undefined; keyFile?: string | undefined } | undefined;
  log: BrokerLog;
}

/** A connection that is made again for as long as it is not closed. */
export interface PersistentConnection {
  nats: NatsConnection;
  /** Calls back when the connection is lost, and when it is there again. Returns what takes it back. */
  listen(listener: ConnectionListener): () => void;
}

export interface ConnectionListener {
  onDisconnect(): void;
  onReconnect(): void;
}

const connectTimeoutMs = 5_000;

/**
 * Connects to the first server that answers. Throws BROKER_UNAVAILABLE where none does, or where it does not let us in, and CONFIG_INVALID for
 * a URL or a credentials file that cannot be read.
 */
export async function connectNats(options: NatsOptions): Promise<PersistentConnection> {
  const nats = await connect(await connectionOptions(options)).catch((error: unknown) => {
    throw connectionFailure(options, error);
  });
  const listeners = new Set<ConnectionListener>();
  void watch(nats, listeners, options.log);
  return {
    nats,
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function connectionFailure({ url, credentialsFile }: NatsOptions, error: unknown): TellwireError {
  const said = error instanceof Error ? error.message : error;
  const named = credentialsFile === undefined ? "" : " and TELLWIRE_NATS_CREDENTIALS";
  return new TellwireError(
    "BROKER_UNAVAILABLE",
    `cannot connect to NATS at ${servers(url).join(", ")}: ${said}: check that a nats-server runs there, and TELLWIRE_NATS_URL${named}`,
    { cause: error },
  );
}

async function connectionOptions({ url, credentialsFile, tls }: NatsOptions): Promise<ConnectionOptions> {
  const urls = parseUrls(url);
  const encrypted = tls !== undefined || urls.some(({ protocol }) => protocol === "tls:");
  const login = urls.find(({ username }) => username !== "");
  return {
    name: "tellwire",
    servers: servers(url),
    timeout: connectTimeoutMs,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    // A password that is changed on the server first must not end the service.
    ignoreAuthErrorAbort: true,
    ...(encrypted && { tls: { ...(tls as Record<string, string>) } }),
    ...(login !== undefined && loginOptions(login)),
    ...(credentialsFile !== undefined && { authenticator: credsAuthenticator(await readCredentials(credentialsFile)) }),
  };
}

async function readCredentials(path: string): Promise<Uint8Array> {
  return await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    const message = `TELLWIRE_NATS_CREDENTIALS: ${path} cannot be read (${cause.code})`;
    throw new TellwireError("CONFIG_INVALID", message, { cause });
  });
}

function loginOptions({ username, password }: URL): ConnectionOptions {
  const user = decodeURIComponent(username);
  return password === "" ? { token: user } : { user, pass: decodeURIComponent(password) };
}

/** Without names and passwords: fit for a log. */
function servers(url: string): string[] {
  return parseUrls(url).map(({ host }) => host);
}

function parseUrls(url: string): URL[] {
  return url.split(",").map((part) => {
    const text = part.trim();
    const parsed = URL.parse(text.includes("://") ? text : `nats://${text}`);
    if (parsed === null || parsed.hostname === "") {
      throw new TellwireError("CONFIG_INVALID", "the NATS URL is not of the form nats://host:port[,nats://host:port…]");
    }
    return parsed;
  });
}

async function watch(nats: NatsConnection, listeners: Set<ConnectionListener>, log: BrokerLog): Promise<void> {
  for await (const status of nats.status()) {
    report(status, log);
    if (status.type === "disconnect") {
      for (const listener of listeners) {
        listener.onDisconnect();
      }
    } else if (status.type === "reconnect") {
      for (const listener of listeners) {
        listener.onReconnect();
      }
    }
  }
}

function report(status: Status, log: BrokerLog): void {
  switch (status.type) {
    case "disconnect":
      log("warn", "the connection to NATS is lost; trying again until it is back", { server: status.server });
      return;
    case "reconnect":
      log("info", "connected to NATS again", { server: status.server });
      return;
    case "error":
      log("error", "NATS reports an error", { error: status.error });
      return;
    case "staleConnection":
    case "slowConsumer":
    case "ldm":
      log("warn", `NATS reports ${status.type}`);
      return;
    default:
    // Routine: pings, tries to reconnect, changes of the cluster, the end.
  }
}

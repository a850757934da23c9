import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createRestClient, type RestClient } from "../../test/support/rest-client.ts";
import { startServerProcess } from "../../test/support/server-process.ts";
import { makeTemporaryFolder } from "../../test/support/temporary-folder.ts";

/** Tellwire as its users run it: the command as a process, configured by the environment, logging into a file. */
export interface TellwireServer {
  /** Of the process that was started; others may be its children. */
  pid: number;
  /** As the operator. */
  rest: RestClient;
  stop(): Promise<void>;
}

/** Where the sources of Tellwire are, and whether it writes a CPU profile into a folder when it ends. */
export interface TellwireProgram {
  source: string;
  profileFolder: string | undefined;
}

/** Starts `tellwire serve` on these servers and waits until it is up. `secretsKey` in base64. Variables are `TELLWIRE_…`. */
export async function startTellwireServer(
  program: TellwireProgram,
  options: { databaseUrl: string; natsUrl: string; secretsKey: string; variables: Readonly<Record<string, string>> },
): Promise<TellwireServer> {
  const folder = makeTemporaryFolder("bench-tellwire");
  const operatorKey = randomBytes(24).toString("base64url");
  const { profileFolder } = program;
  const log = join(folder.path, "log");
  const server = await startServerProcess({
    program: process.execPath,
    args: [
      ...(profileFolder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`]),
      builtCommand(program),
      "serve",
    ],
    folder: folder.path,
    environment: {
      ...inheritedEnvironment(),
      ...tellwireSettings,
      TELLWIRE_OPERATOR_KEY: operatorKey,
      TELLWIRE_DATABASE_URL: options.databaseUrl,
      TELLWIRE_NATS_URL: options.natsUrl,
      TELLWIRE_SECRETS_KEY: options.secretsKey,
      ...options.variables,
    },
    stopSignal: "SIGTERM",
    guardSignal: "SIGKILL",
    isReady: async () => httpUrlIn(log) !== undefined,
  });
  return {
    pid: server.pid,
    rest: createRestClient(httpUrlIn(log) ?? "", operatorKey),
    async stop() {
      await server.stop();
      folder.remove();
    },
  };
}

/** Builds Tellwire, because what users run is the built program. */
export function buildTellwire({ source }: TellwireProgram): void {
  execFileSync("npm", ["run", "--silent", "build"], { cwd: source, stdio: ["ignore", "ignore", "inherit"] });
}

function builtCommand({ source }: TellwireProgram): string {
  return join(source, "bin", "tellwire.mjs");
}

/** Brings an empty database up to date. */
export function migrateDatabase(program: TellwireProgram, databaseUrl: string): void {
  const environment = { ...inheritedEnvironment(), TELLWIRE_DATABASE_URL: databaseUrl };
  execFileSync(process.execPath, [builtCommand(program), "migrate"], {
    env: environment,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** What every Tellwire of the bench is set to; everything else stands as it is by default, the log level included. */
export const tellwireSettings: Readonly<Record<string, string>> = {
  TELLWIRE_HTTP_ADDR: "127.0.0.1:0",
  TELLWIRE_GRPC_ADDR: "127.0.0.1:0",
  TELLWIRE_ALLOW_HTTP: "true",
  TELLWIRE_ALLOW_ADDRESSES: "127.0.0.0/8",
  // Receivers that hang are not waited for at the end.
  TELLWIRE_SHUTDOWN_GRACE_MS: "1000",
};

function inheritedEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith("TELLWIRE_"));
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

/** The line that Tellwire logs when it is up says where it listens. */
function httpUrlIn(log: string): string | undefined {
  const line = readFileSync(log, "utf8")
    .split("\n")
    .find((text) => text.includes('"tellwire is up"'));
  return line === undefined ? undefined : (JSON.parse(line) as { http: string }).http;
}

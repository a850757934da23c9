import { execFileSync } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { startOnFreePort } from "../../test/support/free-port.ts";
import { findServerBinaries } from "../../test/support/server-binaries.ts";
import { startServerProcess } from "../../test/support/server-process.ts";
import { makeTemporaryFolder } from "../../test/support/temporary-folder.ts";

/** A Redis of our own. */
export interface RedisServer {
  port: number;
  pid: number;
  version: string;
  stop(): Promise<void>;
}

/** What Redis is set to: what it has taken is on disk at the latest a second later, which is what its documentation recommends for queues. */
export const redisSettings: Readonly<Record<string, string>> = {
  appendonly: "yes",
  appendfsync: "everysec",
  save: "",
  "maxmemory-policy": "noeviction",
};

/** Starts Redis on a free loopback port, with its data in a temporary folder. */
export async function startRedisServer(): Promise<RedisServer> {
  const binaries = findServerBinaries({
    server: "a Redis server",
    programs: ["redis-server"],
    folders: ["/usr/bin", "/usr/local/bin"],
    debianPackage: "redis-server",
  });
  const program = join(binaries, "redis-server");
  const folder = makeTemporaryFolder("redis");
  const settings = Object.entries(redisSettings).flatMap(([name, value]) => [`--${name}`, value]);
  const { server, port } = await startOnFreePort(async (port) => ({
    port,
    server: await startServerProcess({
      program,
      args: ["--bind", "127.0.0.1", "--port", `${port}`, "--dir", folder.path, ...settings],
      folder: folder.path,
      stopSignal: "SIGTERM",
      guardSignal: "SIGKILL",
      isReady: () => accepts(port),
    }),
  }));
  return {
    port,
    pid: server.pid,
    version: execFileSync(program, ["--version"], { encoding: "utf8" }).trim(),
    async stop() {
      await server.stop();
      folder.remove();
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", reject);
  });
}

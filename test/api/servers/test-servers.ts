import type { ConnectRouter } from "@connectrpc/connect";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { createServers, type Servers, type ServersOptions } from "../../../src/api/servers/create-servers.ts";
import type { Readiness } from "../../../src/api/servers/health-source.ts";
import { peer } from "../../support/principals.ts";

export interface TestServers extends Servers {
  httpUrl: string;
  grpcUrl: string;
  /** What the health source says; ready at first. */
  health: { readiness: Readiness };
  /** What was logged from the level `warn` on, as lines of JSON. */
  logLines: string[];
}

/** Starts servers on free ports of the loopback interface, closed when the test ends. */
export async function startTestServers(options: Partial<ServersOptions> = {}): Promise<TestServers> {
  const servers = prepareTestServers(options);
  const urls = await servers.listen();
  onTestFinished(() => servers.close({ graceMs: 0 }));
  return { ...servers, ...urls };
}

/** The same, before they listen. */
export function prepareTestServers(options: Partial<ServersOptions> = {}): Omit<TestServers, "httpUrl" | "grpcUrl"> {
  const health = { readiness: { ok: true, checks: { database: { ok: true } } } as Readiness };
  const logLines: string[] = [];
  const servers = createServers({
    routes: organizationRoutes(),
    interceptors: [],
    readPeer: () => peer,
    http: loopback,
    grpc: loopback,
    maxBodyBytes: 64 * 1024,
    health: { ready: async () => health.readiness },
    healthPollMs: 10,
    log: pino({ level: "warn" }, { write: (line: string) => void logLines.push(line) }),
    ...options,
  });
  return { ...servers, health, logLines };
}

/** For a close that has to wait for neither. */
export const noTimer = { graceMs: 60_000, lingerMs: 60_000 };

/** Half of these, and of the servers' other times. What takes less has waited for none of them, and may have been slow for all that. */
export const atOnceMs = 30_000;

/** Any free port. */
const loopback = { host: "127.0.0.1", port: 0 };

/** A small real implementation: an organization exists as soon as somebody asks for it. `beforeGet` may hold an answer back. */
export function organizationRoutes(beforeGet: (id: string, signal: AbortSignal) => Promise<void> = async () => {}) {
  return (router: ConnectRouter): void => {
    router.service(OrganizationService, {
      async getOrganization({ id }, { signal }) {
        await beforeGet(id, signal);
        return { organization: { id, name: `Organization ${id}` } };
      },
      createOrganization: ({ organization }) => ({ organization: { id: "org_new", name: organization?.name ?? "" } }),
    });
  };
}

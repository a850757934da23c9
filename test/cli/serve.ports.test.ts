import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { afterAll, describe, expect, it } from "vitest";
import { OrganizationService } from "../../gen/tellwire/v1/organization_service_pb.ts";
import { createSelfSigned } from "../api/servers/self-signed.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const database = await createTestDatabase();
const folder = makeTemporaryFolder("ports");
const { cert, key } = createSelfSigned();
const certPath = join(folder.path, "cert.pem");
const keyPath = join(folder.path, "key.pem");
writeFileSync(certPath, cert);
writeFileSync(keyPath, key);

const variables = {
  TELLWIRE_DATABASE_URL: database.url,
  TELLWIRE_PROCESSES: "2",
  TELLWIRE_HTTP_ADDR: "localhost:0",
  TELLWIRE_GRPC_ADDR: "localhost:0",
  // One line for each call, with the number of the process.
  TELLWIRE_LOG_LEVEL: "debug",
};

describe.each([
  ["in the clear", {}],
  ["with TLS", { TELLWIRE_TLS_CERT: certPath, TELLWIRE_TLS_KEY: keyPath }],
])("the ports of two processes, %s", async (_name, tls) => {
  const tellwire = await startTellwire(tellwireSettings({ ...variables, ...tls }));
  afterAll(() => tellwire.stop());

  it.each<[string, (tellwire: TellwireProcess) => Connection]>([
    ["Connect over HTTP/1.1", ({ httpUrl }) => overHttp1(httpUrl)],
    ["gRPC over HTTP/2", ({ grpcUrl }) => overHttp2(grpcUrl)],
  ])("connections for %s go to both, and every call is answered", async (_protocol, connect) => {
    const linesBefore = callLines(tellwire).length;
    const call = async (): Promise<void> => {
      const { transport, close } = connect(tellwire);
      const headers = { authorization: `Bearer ${tellwire.operatorKey}` };
      const { organizations } = await createClient(OrganizationService, transport).listOrganizations({}, { headers });
      expect(organizations).toEqual([]);
      close();
    };
    // Whichever process has time takes a connection, so that a few connections may all be taken by one.
    await waitFor(
      async () => {
        await Promise.all(Array.from({ length: connectionCount }, call));
        return (
          new Set(
            callLines(tellwire)
              .slice(linesBefore)
              .map(({ process }) => process),
          ).size === 2
        );
      },
      { what: "calls that either process answered" },
    );
  });
});

afterAll(async () => {
  await database.drop();
  folder.remove();
});

/** A way to call over a connection of its own. */
interface Connection {
  transport: Transport;
  close: () => void;
}

const connectionCount = 6;

function overHttp1(baseUrl: string): Connection {
  const nodeOptions = { ca: cert, agent: false } as const;
  return { transport: createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions }), close: () => {} };
}

function overHttp2(baseUrl: string): Connection {
  const sessionManager = new Http2SessionManager(baseUrl, {}, { ca: cert });
  return { transport: createGrpcTransport({ baseUrl, sessionManager }), close: () => sessionManager.abort() };
}

function callLines(tellwire: TellwireProcess): { process: number }[] {
  const lines = tellwire.output().split("\n");
  return lines.filter((line) => line.includes('"msg":"call"')).map((line) => JSON.parse(line));
}

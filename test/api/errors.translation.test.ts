import { connect, createServer, type Socket } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, it } from "vitest";
import { callerError } from "../../src/api/caller-error.ts";
import { openPostgres } from "../../src/store/database.ts";
import { freePort } from "../support/free-port.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

it("an unexpected failure tells the caller a request id and nothing else, and the log everything", async () => {
  const secretBox = {
    ...api.secretBox,
    seal: () => {
      throw new Error("internal detail");
    },
  };
  const broken = await startApi({ secretBox });
  try {
    const { clients } = await broken.addOrganization();
    const error = await errorOf(clients.webhooks.createWebhook({ webhook: webhookFor("https://example.com") }));
    expect(error).toMatchObject({ reason: "INTERNAL", code: Code.Internal });
    expect(error.message).not.toContain("internal detail");
    const [failure] = broken.serverFailures;
    expect(failure).toMatchObject({
      method: "tellwire.v1.WebhookService/CreateWebhook",
      requestId: error.metadata.request_id,
      error: { message: "internal detail" },
    });
    expect(error.message).toContain(failure!.requestId);
  } finally {
    await broken.close();
  }
});

it("a secret that cannot be opened is reported without a word about keys", async () => {
  const { clients, id: organizationId } = await api.addOrganization();
  const { webhook } = await api.operator.webhooks.createWebhook({
    webhook: webhookFor("http://127.0.0.1:1024/", { organizationId, verification: { method: 3 } }),
  });
  await api.database.em().execute("update webhook_secret set sealed = sealed || '\\x00'::bytea");
  const error = await errorOf(clients.webhooks.testWebhook({ id: webhook!.id }));
  expect(error).toMatchObject({ reason: "SECRETS_KEY_MISMATCH", code: Code.Internal });
  expect(error.message).not.toContain("TELLWIRE_SECRETS_KEY");
  expect(api.serverFailures.at(-1)?.error).toMatchObject({ reason: "SECRETS_KEY_MISMATCH" });
});

it("a database that goes away is UNAVAILABLE, with a time to try again, and calls work again once it is back", async () => {
  const testDatabase = await createTestDatabase();
  const proxy = await startProxy(testDatabase.url);
  const database = await openPostgres(proxy.url, { maxConnections: 2 });
  const broken = await startApi({ database });
  const list = () => broken.operator.organizations.listOrganizations({});
  try {
    await list();
    await proxy.stop();
    for (let call = 0; call < 3; call += 1) {
      const error = await errorOf(list());
      expect(error).toMatchObject({ reason: "DATABASE_UNAVAILABLE", code: Code.Unavailable, retryDelayMs: 1_000 });
    }
    expect(broken.serverFailures).toHaveLength(3);
    await proxy.start();
    expect((await list()).organizations).toEqual([]);
  } finally {
    await proxy.stop();
    await broken.close();
    await database.close();
    await testDatabase.drop();
  }
});

it("errors of the protocol itself pass unchanged", () => {
  expect(callerError(new ConnectError("gone", Code.Canceled), "r")).toBeUndefined();
});

it("every call is reported with its method and its code", async () => {
  const { clients } = await api.addOrganization();
  api.requests.length = 0;
  await clients.webhooks.listWebhooks({});
  await errorOf(clients.webhooks.listWebhooks({ pageSize: -1 }));
  expect(api.requests).toMatchObject([
    { method: "tellwire.v1.WebhookService/ListWebhooks", code: 0 },
    { method: "tellwire.v1.WebhookService/ListWebhooks", code: Code.InvalidArgument },
  ]);
  expect(api.requests.every(({ latencyMs }) => latencyMs >= 0)).toBe(true);
});

/** A way to the database that can be closed and opened again. */
async function startProxy(url: string) {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((incoming) => {
    const outgoing = connect(Number(target.port || 5432), target.hostname);
    for (const [socket, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => other.destroy());
    }
    incoming.pipe(outgoing).pipe(incoming);
  });
  // While it is closed nobody else may listen there.
  const port = await freePort();
  const start = () => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  await start();
  const proxied = new URL(url);
  proxied.host = `127.0.0.1:${port}`;
  return {
    url: proxied.href,
    start,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

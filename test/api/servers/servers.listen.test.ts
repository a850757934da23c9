import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../support/free-port.ts";
import { httpGet } from "./http-get.ts";
import { startTestServers } from "./test-servers.ts";

test("the URLs name the ports that were found free, also on IPv6", async () => {
  const { httpUrl, grpcUrl } = await startTestServers();
  expect([httpUrl, grpcUrl]).toEqual([
    expect.stringMatching(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/),
    expect.stringMatching(/:[1-9]\d*$/),
  ]);
  const six = await startTestServers({ http: { host: "::1", port: 0 } });
  expect(six.httpUrl).toMatch(/^http:\/\/\[::1\]:[1-9]\d*$/);
  expect(await httpGet(`${six.httpUrl}/healthz`)).toMatchObject({ status: 200 });
});

test("an HTTP address that is in use is named with its variable and the fix", async () => {
  const port = await takePort();
  await expect(startTestServers({ http: { host: "127.0.0.1", port } })).rejects.toMatchObject({
    reason: "CONFIG_INVALID",
    message: `TELLWIRE_HTTP_ADDR: 127.0.0.1:${port} is in use by another process; stop that one, or set TELLWIRE_HTTP_ADDR to a free address`,
  });
});

test("where the gRPC address is in use, the HTTP port is given back", async () => {
  const [taken, free] = [await takePort(), await freePort()];
  await expect(
    startTestServers({ http: { host: "127.0.0.1", port: free }, grpc: { host: "127.0.0.1", port: taken } }),
  ).rejects.toMatchObject({ reason: "CONFIG_INVALID", message: expect.stringContaining("TELLWIRE_GRPC_ADDR") });
  await expect(httpGet(`http://127.0.0.1:${free}/healthz`)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("an address that is none of this machine's is refused as such", async () => {
  // 192.0.2.0/24 belongs to documentation (RFC 5737): no machine has it.
  await expect(startTestServers({ http: { host: "192.0.2.1", port: 0 } })).rejects.toMatchObject({
    reason: "CONFIG_INVALID",
    message: expect.stringContaining("192.0.2.1:0 is no address of this machine"),
  });
});

async function takePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

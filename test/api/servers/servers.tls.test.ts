import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { createGrpcJsClient } from "../../support/grpc-js-client.ts";
import { createSelfSigned } from "./self-signed.ts";
import { prepareTestServers, startTestServers } from "./test-servers.ts";

const tls = createSelfSigned();
/** By name: TLS has no server name for an address (RFC 6066, section 3). */
const localhost = { host: "localhost", port: 0 };
const nodeOptions = { ca: tls.cert };

test("with a certificate both ports speak TLS, and every protocol is answered", async () => {
  const { httpUrl, grpcUrl } = await startTestServers({ tls, http: localhost, grpc: localhost });
  expect([httpUrl, grpcUrl].map((url) => new URL(url).protocol)).toEqual(["https:", "https:"]);
  const transports = [
    createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1", nodeOptions }),
    createConnectTransport({ baseUrl: httpUrl, httpVersion: "2", nodeOptions }),
    createGrpcWebTransport({ baseUrl: httpUrl, httpVersion: "1.1", nodeOptions }),
    createGrpcWebTransport({ baseUrl: httpUrl, httpVersion: "2", nodeOptions }),
    createGrpcTransport({ baseUrl: httpUrl, nodeOptions }),
    createGrpcTransport({ baseUrl: grpcUrl, nodeOptions }),
  ];
  const answers = transports.map((transport) =>
    createClient(OrganizationService, transport).getOrganization({ id: "org_1" }),
  );
  for (const { organization } of await Promise.all(answers)) expect(organization?.name).toBe("Organization org_1");
});

test("a client of grpc-js that trusts the certificate is answered over TLS, and one that does not refuses", async () => {
  const { grpcUrl } = await startTestServers({ tls, http: localhost, grpc: localhost });
  using trusting = createGrpcJsClient(OrganizationService, grpcUrl, {}, { ca: tls.cert });
  const { organization } = await trusting.getOrganization({ id: "org_1" });
  expect(organization?.name).toBe("Organization org_1");
  using distrusting = createGrpcJsClient(OrganizationService, grpcUrl);
  await expect(distrusting.getOrganization({ id: "org_1" })).rejects.toThrow(/self-signed certificate/);
});

test("the probes answer over TLS with HTTP/1.1 and with HTTP/2", async () => {
  const { httpUrl } = await startTestServers({ tls, http: localhost, grpc: localhost });
  expect(await statusOverHttp1(`${httpUrl}/readyz`)).toBe(200);
  expect(await statusOverHttp2(httpUrl, "/readyz")).toBe(200);
});

test("a certificate and key that do not belong together are refused, with the variables and the fix", () => {
  const open = () => prepareTestServers({ tls: { cert: tls.cert, key: createSelfSigned().key } });
  expect(open).toThrow(
    expect.objectContaining({
      reason: "CONFIG_INVALID",
      message: expect.stringMatching(/^TELLWIRE_TLS_CERT, TELLWIRE_TLS_KEY: .*PEM/),
    }),
  );
});

function statusOverHttp1(url: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  request(url, { ca: tls.cert, agent: false }, (response) => {
    response.resume();
    resolve(response.statusCode);
  })
    .once("error", reject)
    .end();
  return promise;
}

async function statusOverHttp2(origin: string, path: string): Promise<number | undefined> {
  const session = connectHttp2(origin, { ca: tls.cert });
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  session.once("error", reject);
  session
    .request({ ":path": path })
    .once("response", (headers) => resolve(headers[":status"]))
    .resume();
  try {
    return await promise;
  } finally {
    session.close();
  }
}

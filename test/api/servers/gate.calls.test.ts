import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { createValidator } from "@bufbuild/protovalidate";
import { Code, ConnectError, createClient, createContextKey, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { EventService } from "../../../gen/tellwire/v1/event_service_pb.ts";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { createCallChecks } from "../../../src/api/call-checks.ts";
import type { RequestGate } from "../../../src/api/request-gate.ts";
import type { TellwireError } from "../../../src/errors.ts";
import { keyMissing } from "../../../src/usecases/authenticate.ts";
import { operator } from "../../support/principals.ts";
import { startLimitedServers } from "./limits-servers.ts";
import { openRawConnection } from "./raw-connection.ts";
import { createSelfSigned } from "./self-signed.ts";
import { noTimer, type TestServers } from "./test-servers.ts";

const refuse: RequestGate = async () => {
  throw new ConnectError("not you", Code.Unauthenticated);
};
const rpcPath = "/tellwire.v1.OrganizationService/CreateOrganization";
const doors = [
  ["REST", "/v1/organizations", "application/json"],
  ["Connect", rpcPath, "application/json"],
  ["gRPC-Web", rpcPath, "application/grpc-web+proto"],
] as const;

describe.each(doors)("by %s the body of a call that the gate refuses", (_name, path, contentType) => {
  const head = (length: string) => `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${contentType}\r\n${length}\r\n`;

  test("does not stand in the way of the next request, long as it is", async () => {
    const { httpUrl } = await startLimitedServers({ gate: refuse, maxBodyBytes: 2 ** 22 });
    const { socket, received } = openRawConnection(httpUrl);
    const size = 3 * 2 ** 20;
    socket.write(head(`Content-Length: ${size}\r\n`));
    await once(socket, "data");
    socket.write(Buffer.alloc(size));
    socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const statuses = (await received).match(/HTTP\/1\.1 \d+/g);
    expect(statuses).toHaveLength(2);
    expect(statuses?.[1]).toBe("HTTP/1.1 200");
  });

  test("is cut off with its connection where it does not end", async () => {
    const { httpUrl } = await startLimitedServers({ gate: refuse });
    const { socket, received } = openRawConnection(httpUrl);
    socket.write(head("Transfer-Encoding: chunked\r\n"));
    const chunk = Buffer.concat([Buffer.from("100000\r\n"), Buffer.alloc(2 ** 20), Buffer.from("\r\n")]);
    let sent = 0;
    for (; sent < 64 && !socket.destroyed; sent++) {
      if (!socket.write(chunk)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), received]);
    }
    expect((await received).match(/HTTP\/1\.1 \d+/g)).toHaveLength(1);
    expect(sent).toBeLessThan(64);
  });

  test("over HTTP/2 ends with its stream when it does not come, and the connection goes on", async () => {
    const tls = createSelfSigned();
    const http = { host: "localhost", port: 0 };
    const { httpUrl } = await startLimitedServers({ gate: refuse, tls, http, limits: { bodyTimeoutMs: 200 } });
    const session = connectHttp2(httpUrl, { ca: tls.cert });
    onTestFinished(() => session.destroy());
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": contentType });
    const closed = once(stream, "close");
    stream.resume();
    await Promise.all([once(stream, "response"), once(stream, "end")]);
    await closed;
    const next = session.request({ ":path": "/healthz" }).resume();
    expect((await once(next, "response"))[0]).toMatchObject({ ":status": 200 });
  });
});

describe.each(doors.slice(0, 2))("by %s, while the gate asks", (_name, path) => {
  /** A call whose headers have arrived, and whose gate waits for `decide`. */
  async function beginCall() {
    const asked = Promise.withResolvers<void>();
    const { promise: decided, resolve: decide } = Promise.withResolvers<void>();
    const gate: RequestGate = async () => {
      asked.resolve();
      await decided;
    };
    const servers = await startLimitedServers({ gate });
    const connection = openRawConnection(servers.httpUrl);
    connection.socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n`,
    );
    await asked.promise;
    return { servers, decide, ...connection };
  }

  test("the body may come", async () => {
    const { decide, socket, received } = await beginCall();
    await new Promise((resolve) => socket.write("{}", resolve));
    decide();
    expect((await received).slice(0, 12)).toBe("HTTP/1.1 200");
  });

  test("the client may go away, and nothing is left of its call", async () => {
    const { servers, decide, socket, received } = await beginCall();
    socket.destroy();
    await received;
    decide();
    await servers.close(noTimer);
    expect(servers.logLines).toEqual([]);
  });
});

test("what the gate finds, the interceptors have", async () => {
  const found = createContextKey("nothing");
  const seen: string[] = [];
  const look: Interceptor = (next) => async (request) => {
    seen.push(request.contextValues.get(found));
    return await next(request);
  };
  const servers = await startLimitedServers({
    gate: async ({ contextValues, method, header }) => {
      contextValues.set(found, `${method.name} ${header.get("x-word")}`);
    },
    interceptors: [look],
  });
  await callEverywhere(servers, { "x-word": "found" });
  expect(new Set(seen)).toEqual(new Set(["GetOrganization found"]));
  expect(seen).toHaveLength(4);
});

describe("of each call, by each door,", () => {
  test("who makes it is asked once, its limits are counted once, and it is told of once", async () => {
    const { checks, count } = countingChecks(async () => operator);
    await callEverywhere(await startLimitedServers(checks));
    expect(count).toEqual({ authenticated: 4, admitted: 4, requests: [0, 0, 0, 0], denied: 0 });
  });

  test("that is refused too", async () => {
    const { checks, count } = countingChecks(async () => {
      throw keyMissing();
    });
    await callEverywhere(await startLimitedServers(checks));
    expect(count).toEqual({ authenticated: 4, admitted: 0, requests: [16, 16, 16, 16], denied: 4 });
  });

  test("whose limit is used up too", async () => {
    const { checks, count } = countingChecks(async () => operator, keyMissing());
    await callEverywhere(await startLimitedServers(checks));
    expect(count).toMatchObject({ authenticated: 4, admitted: 4, requests: [16, 16, 16, 16] });
  });

  test("of a stream who makes it is asked again for each message, and its limits are not", async () => {
    const { checks, count } = countingChecks(async () => operator);
    const { grpcUrl } = await startLimitedServers(checks);
    const client = createClient(EventService, createGrpcTransport({ baseUrl: grpcUrl }));
    async function* events() {
      for (const type of ["order.paid", "order.sent"]) yield { event: { type, dataJson: Buffer.from("{}") } };
    }
    for await (const { result } of client.publishEventStream(events())) expect(result.case).toBe("eventId");
    expect(count).toEqual({ authenticated: 3, admitted: 1, requests: [0], denied: 0 });
  });
});

/** The real checks, and how often they ask and tell. */
function countingChecks(authenticate: () => Promise<typeof operator>, refusal?: TellwireError) {
  const count = { authenticated: 0, admitted: 0, requests: [] as number[], denied: 0 };
  const checks = createCallChecks({
    authenticate: async () => {
      count.authenticated += 1;
      return await authenticate();
    },
    callLimits: {
      admit: async () => {
        count.admitted += 1;
        return { headers: undefined, refusal };
      },
    },
    openServices: new Set(),
    validator: createValidator(),
    newRequestId: () => "req_1",
    onServerError: ({ error }) => expect.unreachable(String(error)),
    onRequest: ({ code }) => void count.requests.push(code),
    onDenied: () => {
      count.denied += 1;
    },
    now: () => 0,
  });
  return { checks, count };
}

/** A read by each of the four protocols, whatever comes of it. */
async function callEverywhere({ httpUrl, grpcUrl }: TestServers, headers: Record<string, string> = {}): Promise<void> {
  const id = "org_01k3a9q7j8f0vb2m4n6p8r1s3t";
  await (await fetch(`${httpUrl}/v1/organizations/${id}`, { headers })).text();
  for (const transport of [
    createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1" }),
    createGrpcWebTransport({ baseUrl: httpUrl, httpVersion: "1.1" }),
    createGrpcTransport({ baseUrl: grpcUrl }),
  ]) {
    const call = createClient(OrganizationService, transport).getOrganization({ id }, { headers });
    await call.catch((error: unknown) => expect(ConnectError.from(error).code).toBe(Code.Unauthenticated));
  }
}

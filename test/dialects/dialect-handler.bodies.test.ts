import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { type ClientHttp2Stream, connect, constants, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { Dialect } from "../../src/dialects/dialect.ts";
import { createDialectHandler } from "../../src/dialects/dialect-handler.ts";
import { createLayerDialect } from "../../src/dialects/layer/layer-dialect.ts";
import { createLayersDialect } from "../../src/dialects/layers/layers-dialect.ts";
import { createVerifikDialect } from "../../src/dialects/verifik/verifik-dialect.ts";
import { parseId } from "../../src/domain/ids.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { noCallLimits, peer } from "../support/principals.ts";
import { waitFor } from "../support/wait-for.ts";
import { type ServedDialect, serveDialect } from "./serve-dialect.ts";

/** For bodies that do not come. Those that do are given the time that they need. */
const bodyTimeoutMs = 200;
const defaultPolicy = { delaysMs: [1_000], maxAttempts: 2, timeoutMs: 1_000 };

let api: TestApi;
let key: string;
const served: Record<string, { patient: ServedDialect; impatient: ServedDialect; path: string }> = {};
beforeAll(async () => {
  api = await startApi();
  const organization = await api.addOrganization();
  key = organization.key;
  const add = async (name: string, dialect: Dialect, path: string): Promise<void> => {
    const patient = await serveDialect(api, dialect, { maxBodyBytes: 1_000 });
    const impatient = await serveDialect(api, dialect, { maxBodyBytes: 1_000, bodyTimeoutMs });
    served[name] = { patient, impatient, path };
  };
  const app = parseId("organization", organization.id);
  const layer = createLayerDialect(api.useCases, { publicUrl: undefined, scheme: "http" });
  await add("Layer", layer, `/apps/${app}/webhooks`);
  await add("Verifik", createVerifikDialect(api.useCases, { defaultPolicy }), "/v2/webhooks");
  await add("Layers", createLayersDialect(api.useCases), "/v1/webhook-endpoints");
});
afterEach(() => {
  for (const dialect of dialects()) expect(dialect.failures).toEqual([]);
});
afterAll(async () => {
  await Promise.all(dialects().map((dialect) => dialect.close()));
  await api.close();
});

it.each([
  ["Layer", 400, { code: 10, id: "invalid_request", message: "The body did not arrive whole within 200 ms." }],
  ["Verifik", 408, { error: "The body did not arrive whole within 200 ms", message: "REQUEST_TIMEOUT" }],
  ["Layers", 408, { error: { code: "REQUEST_TIMEOUT", message: "the body did not arrive whole within 200 ms" } }],
])(
  "a body that does not arrive is refused in the words of %s, and is waited for no longer",
  async (name, status, body) => {
    const sent = post(served[name]!.impatient, name, { "content-length": "1000" });
    sent.write("{");
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    const closed = once(answer.socket, "close");
    expect(answer).toMatchObject({ statusCode: status, headers: { connection: "close" } });
    expect(JSON.parse(await text(answer))).toMatchObject(body);
    await closed;
  },
);

it.each(["Layer", "Verifik", "Layers"])(
  "a client of %s that goes away while it sends is no failure of ours",
  async (name) => {
    const { patient } = served[name]!;
    const { refusals } = patient;
    const before = refusals.length;
    const sent = post(patient, name, { "content-length": "1000" });
    sent.on("error", () => undefined);
    await new Promise((resolve) => sent.write("{", resolve));
    sent.destroy();
    await waitFor(() => refusals.length > before);
    expect(refusals.at(-1)).toMatchObject({ reason: "malformed JSON" });
  },
);

it.each([
  ["Layer", 400],
  ["Verifik", 413],
  ["Layers", 413],
])("a body beyond the limit whose length nobody said is answered by %s all the same", async (name, status) => {
  const sent = post(served[name]!.patient, name, { "transfer-encoding": "chunked" });
  sent.on("error", () => undefined);
  sent.write("x".repeat(600));
  sent.write("x".repeat(600));
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  expect(answer.statusCode).toBe(status);
  sent.destroy();
});

it.each([
  ["a body that does not arrive is refused", true, 408, "REQUEST_TIMEOUT"],
  ["nobody without a key is waited for", false, 401, "UNAUTHORIZED"],
] as const)("over HTTP/2 too, %s, and its stream ends", async (_what, hasKey, status, message) => {
  const handle = createDialectHandler(createVerifikDialect(api.useCases, { defaultPolicy }), {
    authenticate: api.useCases.authenticate,
    callLimits: noCallLimits,
    readPeer: () => peer,
    runIdempotently: api.useCases.runIdempotently,
    maxBodyBytes: 1_000,
    bodyTimeoutMs,
    newRequestId: () => "req_1",
    onServerError: ({ error }) => expect.unreachable(String(error)),
  });
  const server = createServer((asked, answer) => void handle(asked, answer));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const stream: ClientHttp2Stream = session.request({
    ":method": "POST",
    ":path": "/v2/webhooks",
    ...(hasKey ? { authorization: `Bearer ${key}` } : {}),
    "content-type": "application/json",
  });
  stream.write("{");
  const closed = once(stream, "close");
  const response = once(stream, "response");
  let answered = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    answered += chunk;
  });
  await once(stream, "end");
  expect(JSON.parse(answered)).toMatchObject({ message });
  expect((await response)[0]).toMatchObject({ ":status": status });
  await closed;
  expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  session.close();
  await new Promise((resolve) => server.close(resolve));
});

it("a body that is said to be encoded as what it is, is read", async () => {
  const { patient, path } = served.Verifik!;
  const body = { url: "https://example.com/hooks", name: "plain", isActive: false };
  const headers = { "content-encoding": "identity" };
  expect(await patient.call("POST", path, { key, body, headers })).toMatchObject({ status: 201 });
});

function dialects(): ServedDialect[] {
  return Object.values(served).flatMap(({ patient, impatient }) => [patient, impatient]);
}

/** Begins a request with a body; what is written is on its way at once. */
function post({ baseUrl }: ServedDialect, name: string, headers: Record<string, string>): ClientRequest {
  const sent = request(`${baseUrl}${served[name]!.path}`, {
    method: "POST",
    agent: false,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
  });
  sent.flushHeaders();
  return sent;
}

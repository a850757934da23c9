import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { openRawConnection } from "../api/servers/raw-connection.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { createRestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

// Whoever may not call is told so before anything of the body was read. Here the body does not come at all.

let database: TestDatabase;
let tellwire: TellwireProcess;
let readingKey: string;
beforeAll(async () => {
  database = await createTestDatabase();
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_DATABASE_URL: database.url }));
  const operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  const { id } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Own" });
  const created = await operator<{ key: string }>("POST", `/v1/organizations/${id}/api-keys`, {
    name: "reads",
    scopes: ["SCOPE_WEBHOOKS_READ"],
  });
  readingKey = created.key;
});
afterAll(async () => {
  await tellwire?.stop();
  await database?.drop();
});

interface Door {
  path: string;
  contentType: string;
  /** Of HTTP; gRPC-Web says everything in its trailers. */
  status: { unauthenticated: number; denied: number };
}

const httpStatus = { unauthenticated: 401, denied: 403 };
const rpcPath = "/tellwire.v1.WebhookService/CreateWebhook";
const rpcDoors: Readonly<Record<string, Door>> = {
  REST: { path: "/v1/webhooks", contentType: "application/json", status: httpStatus },
  "Connect JSON": { path: rpcPath, contentType: "application/json", status: httpStatus },
  "Connect binary": { path: rpcPath, contentType: "application/proto", status: httpStatus },
  "gRPC-Web": {
    path: rpcPath,
    contentType: "application/grpc-web+proto",
    status: { unauthenticated: 200, denied: 200 },
  },
};
const dialectDoors: Readonly<Record<string, Door>> = {
  Layer: {
    path: "/apps/082d4684-0992-11e5-a6c0-1697f925ec7b/webhooks",
    contentType: "application/json",
    status: httpStatus,
  },
  Verifik: { path: "/v2/webhooks", contentType: "application/json", status: httpStatus },
  Layers: { path: "/v1/webhook-endpoints", contentType: "application/json", status: httpStatus },
};
const doors = Object.entries({ ...rpcDoors, ...dialectDoors });

/** How many calls without a good key this file has made through the doors for RPCs and REST. */
let strangers = 0;

describe.each(doors)("by %s a request whose body does not come", (name, { path, contentType, status }) => {
  test.each([
    ["without a key", () => undefined, "KEY_MISSING"],
    ["with a wrong key", () => "twk_wrong", "KEY_INVALID"],
    ["with a key that lacks the scope", () => readingKey, "SCOPE_MISSING"],
  ])("%s is refused at once, and the next one on its connection is answered", async (_what, keyOf, reason) => {
    const key = keyOf();
    const isStranger = reason !== "SCOPE_MISSING";
    if (isStranger && name in rpcDoors) strangers += 1;
    const { socket, received } = openRawConnection(tellwire.httpUrl);
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${contentType}\r\nContent-Length: 1000\r\n${
        key === undefined ? "" : `Authorization: Bearer ${key}\r\n`
      }${name === "Layer" ? "Accept: application/vnd.layer.webhooks+json; version=3.0\r\n" : ""}\r\n`,
    );
    await once(socket, "data");
    socket.write(Buffer.alloc(1000, " "));
    socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const answers = await received;
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual([
      `HTTP/1.1 ${isStranger ? status.unauthenticated : status.denied}`,
      "HTTP/1.1 200",
    ]);
    if (name in rpcDoors) {
      expect(answers.includes('www-authenticate: Bearer realm="tellwire"')).toBe(isStranger);
      if (name === "gRPC-Web") expect(answers).toContain(`grpc-status: ${isStranger ? 16 : 7}`);
      else expect(answers).toContain(reason);
    }
  });
});

test("by gRPC too, and its connection goes on", async () => {
  const session = connectHttp2(tellwire.grpcUrl);
  onTestFinished(() => session.destroy());
  for (const path of [rpcPath, "/tellwire.v1.EventService/PublishEventStream"]) {
    for (const key of [undefined, "twk_wrong"]) {
      strangers += 1;
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      });
      stream.resume();
      const [answer, end, closed] = [once(stream, "response"), once(stream, "end"), once(stream, "close")];
      const trailers: Record<string, unknown> = {};
      stream.on("trailers", (fields) => Object.assign(trailers, fields));
      Object.assign(trailers, (await answer)[0]);
      await end;
      expect(trailers).toMatchObject({ "grpc-status": "16", "www-authenticate": 'Bearer realm="tellwire"' });
      expect(Buffer.from(String(trailers["grpc-status-details-bin"]), "base64").toString()).toContain(
        key === undefined ? "KEY_MISSING" : "KEY_INVALID",
      );
      stream.end(Buffer.alloc(1000));
      await closed;
    }
  }
});

test.each(Object.entries(rpcDoors))(
  "by %s a body that cannot be read is nothing that a stranger is told of",
  async (_name, { path, contentType, status }) => {
    strangers += 1;
    const headers = { "content-type": contentType, "content-encoding": "gzip", "grpc-encoding": "gzip" };
    const answer = await fetch(tellwire.httpUrl + path, { method: "POST", headers, body: "{{{" });
    expect(answer.status).toBe(status.unauthenticated);
    expect(`${answer.headers.get("grpc-status")} ${await answer.text()}`).toMatch(/16|UNAUTHENTICATED|unauthenticated/);
  },
);

test("each of these calls is in the log once", async () => {
  const denials = () =>
    tellwire
      .output()
      .split("\n")
      .map((line) => JSON.parse(line) as { msg: string; reason: string; requestId: string })
      .filter(({ msg }) => msg === "a call was denied");
  // The log keeps the order: whatever is told of the others is there when this one is.
  const last = await fetch(`${tellwire.httpUrl}/v1/organizations`, {
    method: "POST",
    headers: { "x-api-key": readingKey },
  });
  expect(last.status).toBe(403);
  await waitFor(() => denials().some(({ reason }) => reason === "OPERATOR_REQUIRED"));
  const ofStrangers = denials().filter(({ reason }) => reason === "KEY_MISSING" || reason === "KEY_INVALID");
  expect(ofStrangers).toHaveLength(strangers);
  expect(new Set(ofStrangers.map(({ requestId }) => requestId)).size).toBe(strangers);
});

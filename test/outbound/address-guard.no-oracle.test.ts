import { type AddressInfo, createServer } from "node:net";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { attempt } from "../../src/outbound/attempt.ts";
import type { HttpClient } from "../../src/outbound/http-client.ts";
import { createNameResolver } from "../../src/outbound/name-resolver.ts";
import { verifyByChallenge, verifyByCloudEvents } from "../../src/outbound/verification.ts";
import { watchConnectionAttempts } from "../support/connection-attempts.ts";
import { type DnsAnswer, startDnsServer } from "../support/dns-server.ts";
import { selfSign } from "./certificate.ts";
import { post, startClient, startTcpReceiver, startTlsReceiver } from "./receiver.ts";

const attempts = watchConnectionAttempts();
afterEach(() => {
  attempts.made.length = 0;
});

/** A client for public addresses only, whose names are answered by the test. */
async function startStrictClient(zone: Readonly<Record<string, DnsAnswer>>): Promise<HttpClient> {
  const dns = await startDnsServer(({ name }) => zone[name] ?? "missing");
  onTestFinished(() => dns.close());
  return startClient({
    guard: { allow: [], resolve: createNameResolver({ servers: [dns.address], patienceMs: 20_000 }) },
  });
}

/** All that an owner is told, by a delivery, a test and both verifications, but for the time that it took. */
async function toldTo(client: HttpClient, url: string) {
  const { error, errorMessage, statusCode, responseBody } = await attempt(
    {
      webhookId: "0198b8c0-0000-7000-8000-000000000000",
      url,
      headers: {},
      format: "STANDARD",
      payload: { contentType: "application/json", headers: {}, body: Buffer.from("{}") },
      eventId: "evt_1",
      eventType: "a.b",
      deliveryId: "0198b8c0-0000-7000-8000-000000000001",
      signingKeys: [],
      timeoutMs: 60_000,
    },
    { client, now: Date.now },
  );
  const randomBytes = (size: number) => new Uint8Array(size);
  const challenge = await verifyByChallenge({ url, timeoutMs: 60_000, randomBytes }, client);
  const handshake = await verifyByCloudEvents({ url, timeoutMs: 60_000, origin: "tellwire.test" }, client);
  return { error, errorMessage, statusCode, body: responseBody.toString(), challenge, handshake };
}

async function findClosedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("of an address that is refused nobody learns who listens there: nothing is tried, and all answers are the same", async () => {
  const talking = await startTcpReceiver((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n"));
  const silent = await startTcpReceiver((socket) => void socket.resume());
  const encrypted = await startTlsReceiver(selfSign({ names: ["127.0.0.1"] }));
  const ports = [talking.port, silent.port, encrypted.port, await findClosedPort()];
  const client = await startStrictClient({ "inside.example": ["127.0.0.1"] });
  for (const host of ["127.0.0.1", "inside.example"]) {
    for (const scheme of ["http", "https"]) {
      const answers = await Promise.all(ports.map((port) => toldTo(client, `${scheme}://${host}:${port}/`)));
      expect(answers[0]).toMatchObject({
        error: "ADDRESS_REFUSED",
        challenge: { verified: false },
        handshake: { verified: false },
      });
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    }
  }
  expect(attempts.made).toEqual([]);
  expect([...talking.sockets, ...silent.sockets, ...encrypted.sockets]).toEqual([]);
});

test("which address a name stands for is not told, nor how many, nor which of them is refused", async () => {
  const client = await startStrictClient({
    "one.example": ["10.0.0.1"],
    "two.example": ["8.8.8.8", "192.168.7.9"],
    "six.example": ["fd00::1"],
    "alias.example": [{ alias: "db.internal" }, "10.0.0.7"],
  });
  const names = ["one", "two", "six", "alias"];
  const answers = await Promise.all(names.map((name) => toldTo(client, `http://${name}.example/`)));
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  expect(answers[0]?.errorMessage).toBe("the host name stands for an address which requests may not go to");
  expect(attempts.made).toEqual([]);
});

test("whether a name exists inside a network is not told", async () => {
  const client = await startStrictClient({ "db.internal": ["10.0.0.1"], vault: ["10.0.0.2"] });
  for (const [there, missing] of [
    ["db.internal", "xy.internal"],
    ["vault", "vaulx"],
  ] as const) {
    const answers = await Promise.all([there, missing].map((name) => toldTo(client, `http://${name}/`)));
    const [one, other] = answers.map((answer) => JSON.stringify(answer));
    expect(answers[0]).toMatchObject({ error: "ADDRESS_REFUSED" });
    expect(one?.replaceAll(there, "")).toBe(other?.replaceAll(missing, ""));
  }
});

test("a receiver that is silent is a TIMEOUT in the same words at every stage", async () => {
  const dns = await startDnsServer(() => "silence");
  onTestFinished(() => dns.close());
  const silent = await startTcpReceiver((socket) => void socket.resume());
  const resolve = createNameResolver({ servers: [dns.address] });
  const client = startClient({ guard: { resolve } });
  const urls = ["http://silent.example/", `https://127.0.0.1:${silent.port}/`, `http://127.0.0.1:${silent.port}/`];
  const answers = await Promise.all(urls.map((url) => client.send(post(url, { timeoutMs: 200 }))));
  for (const answer of answers) {
    expect(answer).toMatchObject({ kind: "failure", error: "TIMEOUT", message: "no complete response within 200 ms" });
  }
});

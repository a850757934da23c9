import { afterEach, expect, test, vi } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { createAuthority, selfSign } from "./certificate.ts";
import { post, startClient, startTcpReceiver, startTlsReceiver } from "./receiver.ts";

const authority = createAuthority();
const resolve = (_name: string, callback: (error: null, addresses: { address: string; family: number }[]) => void) =>
  callback(null, [{ address: "127.0.0.1", family: 4 }]);

afterEach(() => void vi.unstubAllEnvs());

function startTlsClient() {
  return startClient({ guard: { resolve }, allowHttp: false, tls: { ca: authority.cert } });
}

test("a certificate for the name, from a trusted authority, is accepted, and the connection is kept", async () => {
  const receiver = await startTlsReceiver(authority.issue({ names: ["receiver.example"] }));
  const client = startTlsClient();
  for (let i = 0; i < 3; i += 1) {
    const answer = await client.send(post(`https://receiver.example:${receiver.port}/hook`));
    expect(answer).toMatchObject({ kind: "response", status: 204 });
  }
  expect(receiver.sockets).toHaveLength(1);
  expect(receiver.received).toHaveLength(3);
});

test("a certificate for an address is accepted at that address", async () => {
  const receiver = await startTlsReceiver(authority.issue({ names: ["127.0.0.1"] }));
  expect(await startTlsClient().send(post(receiver.url))).toMatchObject({ kind: "response", status: 204 });
});

test("a resumed session is bound to the name that it was made for", async () => {
  const certificate = authority.issue({ names: ["one.example"] });
  const receiver = await startTlsReceiver({ ...certificate, maxVersion: "TLSv1.2" });
  const client = startTlsClient();
  const to = (name: string) => client.send(post(`https://${name}:${receiver.port}/`));
  expect(await to("one.example")).toMatchObject({ kind: "response", status: 204 });
  expect(await to("two.example")).toMatchObject({ kind: "failure", error: "TLS" });
  expect(await to("two.example")).toMatchObject({ kind: "failure", error: "TLS" });
});

test.each([
  ["for another name", () => authority.issue({ names: ["other.example"] }), "the certificate is for other host names"],
  [
    "without any name",
    () => authority.issue({ names: [], commonName: "x" }),
    "the certificate is for other host names",
  ],
  ["that is self-signed", () => selfSign({ names: ["receiver.example"] }), "the certificate is self-signed"],
  [
    "from an authority that nobody trusts",
    () => createAuthority().issue({ names: ["receiver.example"] }),
    "the certificate's authority is not trusted, or an intermediate certificate is missing",
  ],
  [
    "that has expired",
    () => authority.issue({ names: ["receiver.example"], notAfter: new Date(Date.now() - 1000) }),
    "the certificate has expired",
  ],
  [
    "that is not valid yet",
    () => authority.issue({ names: ["receiver.example"], notBefore: new Date(Date.now() + 600_000) }),
    "the certificate is not valid yet",
  ],
])(
  "a certificate %s is TLS, whatever the environment says, and no request is sent",
  async (_what, certificate, message) => {
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    const receiver = await startTlsReceiver(certificate());
    const answer = await startTlsClient().send(post(`https://receiver.example:${receiver.port}/`));
    expect(answer).toMatchObject({ kind: "failure", error: "TLS", message });
    await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
    expect(receiver.received).toEqual([]);
  },
);

test("a receiver that offers nothing newer than TLS 1.1 is TLS", async () => {
  const certificate = authority.issue({ names: ["receiver.example"] });
  const receiver = await startTlsReceiver({
    ...certificate,
    minVersion: "TLSv1",
    maxVersion: "TLSv1.1",
    ciphers: "DEFAULT@SECLEVEL=0",
  });
  const answer = await startTlsClient().send(post(`https://receiver.example:${receiver.port}/`));
  expect(answer).toMatchObject({ kind: "failure", error: "TLS", message: expect.stringContaining("TLS 1.2") });
});

test.each([
  ["speaks plain HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n"],
  ["speaks something else", "220 mail.example ESMTP\r\n"],
])("a receiver that %s on a port of https is TLS", async (_what, text) => {
  const receiver = await startTcpReceiver((socket) => socket.end(text));
  const answer = await startTlsClient().send(post(`https://receiver.example:${receiver.port}/`));
  expect(answer).toMatchObject({ kind: "failure", error: "TLS", message: expect.stringContaining("speak TLS") });
});

test("a receiver that closes during the handshake is TLS", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.once("data", () => socket.end()));
  const answer = await startTlsClient().send(post(`https://receiver.example:${receiver.port}/`));
  expect(answer).toMatchObject({ kind: "failure", error: "TLS" });
});

test("the deadline covers a handshake that never ends", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.resume());
  const answer = await startTlsClient().send(post(`https://receiver.example:${receiver.port}/`, { timeoutMs: 100 }));
  expect(answer).toMatchObject({ kind: "failure", error: "TIMEOUT" });
});

test("HTTP/2 is not offered", async () => {
  const offered: string[][] = [];
  const certificate = authority.issue({ names: ["receiver.example"] });
  const receiver = await startTlsReceiver({
    ...certificate,
    ALPNCallback: ({ protocols }) => {
      offered.push(protocols);
      return protocols[0];
    },
  });
  await startTlsClient().send(post(`https://receiver.example:${receiver.port}/`));
  expect(offered).toEqual([["http/1.1"]]);
});

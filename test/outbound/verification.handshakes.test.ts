import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { verifyByChallenge, verifyByCloudEvents } from "../../src/outbound/verification.ts";
import { type ReceivedRequest, startClient, startHttpReceiver, startTcpReceiver } from "./receiver.ts";

type Answer = (request: ReceivedRequest, response: ServerResponse) => void;

function challengeOf({ url }: ReceivedRequest): string {
  return new URL(url, "http://receiver").searchParams.get("verification_challenge") ?? "";
}

async function challenge(answer: Answer, suffix = "") {
  const receiver = await startHttpReceiver(answer);
  const outcome = await verifyByChallenge(
    { url: receiver.url + suffix, timeoutMs: 60_000, randomBytes },
    startClient(),
  );
  return { outcome, request: receiver.requests[0]! };
}

async function handshake(answer: Answer, ratePerMinute?: number) {
  const receiver = await startHttpReceiver(answer);
  const input = { url: receiver.url, timeoutMs: 60_000, origin: "hooks.example.com", ratePerMinute };
  return { outcome: await verifyByCloudEvents(input, startClient()), request: receiver.requests[0]! };
}

test.each([
  ["the value", (value: string) => value],
  ["the value and a line feed", (value: string) => `${value}\n`],
  ["the value and a line break", (value: string) => `${value}\r\n`],
])("a receiver that echoes %s is verified", async (_what, write) => {
  const { outcome, request } = await challenge((received, response) => response.end(write(challengeOf(received))));
  expect(outcome).toEqual({ verified: true });
  expect(request.method).toBe("GET");
  expect(challengeOf(request)).toMatch(/^[\w-]{32}$/);
});

test("any 2xx will do for the echo", async () => {
  const { outcome } = await challenge((received, response) => response.writeHead(202).end(challengeOf(received)));
  expect(outcome).toEqual({ verified: true });
});

test.each([
  ["a 202", 202, ""],
  ["a line feed", 200, "\n"],
])("where the echo must be exact, %s is not forgiven", async (_what, status, end) => {
  const answer: Answer = (received, response) => response.writeHead(status).end(challengeOf(received) + end);
  const receiver = await startHttpReceiver(answer);
  const input = { url: receiver.url, timeoutMs: 60_000, randomBytes, exact: true };
  expect(await verifyByChallenge(input, startClient())).toMatchObject({ verified: false });
  expect(await verifyByChallenge({ ...input, exact: false }, startClient())).toEqual({ verified: true });
});

test.each([
  ["?token=a%20b+c&flag", "/hook?token=a%20b+c&flag&verification_challenge="],
  ["", "/hook?verification_challenge="],
  ["?", "/hook?verification_challenge="],
])("the URL's own query %j stays as it is written", async (suffix, start) => {
  const { outcome, request } = await challenge((received, response) => response.end(challengeOf(received)), suffix);
  expect(outcome).toEqual({ verified: true });
  expect(request.url.startsWith(start)).toBe(true);
});

test("each verification has a challenge of its own", async () => {
  const seen = new Set<string>();
  for (let i = 0; i < 3; i += 1) {
    const { request } = await challenge((_request, response) => response.end());
    seen.add(challengeOf(request));
  }
  expect(seen.size).toBe(3);
});

test.each<[string, Answer, string]>([
  ["answers something else", (_request, response) => response.end("ok"), "body must be the value"],
  ["answers nothing", (_request, response) => response.writeHead(204).end(), "body must be the value"],
  ["echoes within a page", (request, response) => response.end(`<p>${challengeOf(request)}</p>`), "body must be"],
  ["echoes the URL", (request, response) => response.end(request.url), "body must be the value"],
  ["echoes in quotes", (request, response) => response.end(`"${challengeOf(request)}"`), "body must be the value"],
  ["adds lines", (request, response) => response.end(`${challengeOf(request)}\n\n`), "body must be the value"],
  ["echoes with an error", (request, response) => response.writeHead(404).end(challengeOf(request)), "answered 404"],
  [
    "redirects",
    (request, response) => response.writeHead(302, { location: "/" }).end(challengeOf(request)),
    "redirects are not followed",
  ],
  ["echoes and goes on", (request, response) => response.end(challengeOf(request) + "x".repeat(9_999)), "body must be"],
])("a receiver that %s is not verified, and its owner is told why", async (_what, answer, words) => {
  const { outcome } = await challenge(answer);
  expect(outcome).toEqual({ verified: false, failure: expect.stringContaining(words) });
});

test.each([
  ["the origin", "hooks.example.com"],
  ["the origin in another case", "Hooks.Example.COM"],
  ["a star", "*"],
])("a receiver that allows %s is verified", async (_what, allowed) => {
  const { outcome, request } = await handshake((_request, response) =>
    response.writeHead(200, { "WebHook-Allowed-Origin": allowed, Allow: "POST" }).end(),
  );
  expect(outcome).toEqual({ verified: true, allowedRatePerMinute: undefined });
  expect(request.method).toBe("OPTIONS");
  expect(request.headers["webhook-request-origin"]).toBe("hooks.example.com");
  expect(request.headers).not.toHaveProperty("webhook-request-rate");
});

test.each([
  ["120", 120],
  ["*", undefined],
  ["0", undefined],
  ["many", undefined],
])("an allowed rate of %s is read as %s requests per minute", async (value, allowedRatePerMinute) => {
  const headers = { "WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": value };
  const { outcome, request } = await handshake((_request, response) => response.writeHead(204, headers).end(), 600);
  expect(outcome).toEqual({ verified: true, allowedRatePerMinute });
  expect(request.headers["webhook-request-rate"]).toBe("600");
});

test.each<[string, number, Record<string, string | string[]>, string]>([
  ["says nothing", 200, {}, "must have the header WebHook-Allowed-Origin"],
  ["allows others", 200, { "WebHook-Allowed-Origin": "other.example" }, "must be hooks.example.com or *"],
  ["allows a part of the name", 200, { "WebHook-Allowed-Origin": "example.com" }, "must be hooks.example.com or *"],
  ["has only a CORS policy", 204, { "Access-Control-Allow-Origin": "*" }, "must have the header"],
  ["does not know OPTIONS", 405, {}, "answered 405"],
  ["allows with an error", 500, { "WebHook-Allowed-Origin": "*" }, "answered 500"],
  ["redirects", 301, { location: "/", "WebHook-Allowed-Origin": "*" }, "redirects are not followed"],
])("a receiver that %s is not verified, and its owner is told why", async (_what, status, headers, words) => {
  const { outcome } = await handshake((_request, response) => response.writeHead(status, headers).end());
  expect(outcome).toEqual({ verified: false, failure: expect.stringContaining(words) });
});

test("a receiver that cannot be reached is not verified, in both handshakes", async () => {
  const receiver = await startTcpReceiver((socket) => socket.end());
  const client = startClient();
  const { url } = receiver;
  const failure = expect.stringContaining("the connection was closed");
  expect(await verifyByChallenge({ url, timeoutMs: 60_000, randomBytes }, client)).toEqual({
    verified: false,
    failure,
  });
  const origin = "hooks.example.com";
  expect(await verifyByCloudEvents({ url, timeoutMs: 60_000, origin }, client)).toEqual({ verified: false, failure });
});

test("a verification goes through the guard as everything else", async () => {
  const input = { url: "http://169.254.169.254/latest", timeoutMs: 60_000, randomBytes };
  expect(await verifyByChallenge(input, startClient())).toEqual({
    verified: false,
    failure: expect.stringContaining("169.254.169.254 is a link-local address"),
  });
});

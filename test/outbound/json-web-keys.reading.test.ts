import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createJsonWebKeysReader, type JsonWebKeysReaderOptions } from "../../src/outbound/json-web-keys.ts";
import { startTokenIssuer, type TokenIssuer } from "../support/token-issuer.ts";

let issuer: TokenIssuer;
const readers: { close(): Promise<void> }[] = [];
beforeEach(async () => {
  issuer = await startTokenIssuer();
});
afterEach(async () => {
  // An answer that never ends is ended by the server first.
  await issuer.close();
  await Promise.all(readers.splice(0).map((reader) => reader.close()));
});

it("the keys are read", async () => {
  expect(await readKeys()).toMatchObject({ keys: [{ kid: "key-0", kty: "EC" }] });
});

it("an answer that does not come in time is not waited for, and neither is one that drips", async () => {
  issuer.answerWith(() => {});
  await expect(readKeys({ timeoutMs: 50 })).rejects.toThrow(/timeout|aborted/i);
  issuer.answerWith((response) => {
    const drip = setInterval(() => response.write(" "), 10);
    response.once("close", () => clearInterval(drip));
  });
  await expect(readKeys({ timeoutMs: 80 })).rejects.toThrow(/timeout|aborted/i);
});

it("no more than the allowed bytes are read, whatever length was announced", async () => {
  const long = JSON.stringify({ keys: [], filler: "x".repeat(2_000) });
  issuer.answerWith((response) => void response.end(long));
  await expect(readKeys({ maxBytes: 1_000 })).rejects.toThrow(/size/i);
  issuer.answerWith((response) => {
    response.write(long.slice(0, 900));
    response.end(long.slice(900));
  });
  await expect(readKeys({ maxBytes: 1_000 })).rejects.toThrow(/size/i);
});

it("a redirect is not followed", async () => {
  let reached = 0;
  const elsewhere = createServer((_request, response) => {
    reached += 1;
    response.end('{"keys":[]}');
  });
  await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
  try {
    const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`;
    issuer.answerWith((response) => void response.writeHead(302, { location }).end());
    await expect(readKeys()).rejects.toThrow("302");
    expect(reached).toBe(0);
  } finally {
    elsewhere.close();
  }
});

it.each([
  ["another status", 503, '{"keys":[]}'],
  ["no JSON", 200, "<html>"],
  ["no key set", 200, '{"key":[]}'],
  ["keys that are no list", 200, '{"keys":{}}'],
  ["keys that are no objects", 200, '{"keys":[null]}'],
])("%s is a failure", async (_what, status, body) => {
  issuer.answerWith((response) => void response.writeHead(status).end(body));
  await expect(readKeys()).rejects.toThrow();
});

it("an issuer that is not there is a failure", async () => {
  await issuer.close();
  await expect(readKeys()).rejects.toThrow();
});

function readKeys(options: Partial<JsonWebKeysReaderOptions> = {}) {
  const reader = createJsonWebKeysReader({ url: issuer.jwksUrl, timeoutMs: 60_000, ...options });
  readers.push(reader);
  return reader.read();
}

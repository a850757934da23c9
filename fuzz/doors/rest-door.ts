import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import fc from "fast-check";
import { writeRestRequest } from "../../test/e2e/matrix-rest.ts";
import { mutated } from "../arbitrary/bytes.ts";
import { credentials } from "../arbitrary/credentials.ts";
import { jsonText } from "../arbitrary/json-text.ts";
import { messageJson } from "../arbitrary/messages.ts";
import { hostileText, mostly } from "../arbitrary/values.ts";
import { type Door, makeDoor } from "../door.ts";
import { bombs } from "../envelopes.ts";
import { createHttpClient, type HttpRequest, judgeAnswer } from "../http-client.ts";
import { contractMethods } from "../methods.ts";
import type { World } from "../world.ts";

/** Every route of REST, written from the contract's own rules. */
export function restDoor(httpUrl: string, world: World): Door {
  const client = createHttpClient(httpUrl);
  return makeDoor({
    name: "rest",
    requests: () => requests(world),
    send: async (request) => judgeAnswer(await client.send(request)),
    close: client.close,
  });
}

function requests(world: World): fc.Arbitrary<HttpRequest> {
  return fc.constantFrom(...contractMethods).chain((method) =>
    fc
      .tuple(messageJson(method.input, world), credentials(world), headers)
      .map(([json, keys, more]) => ({ json, headers: { ...keys, ...more } }))
      .chain(({ json, headers: all }) => {
        const written = writtenOr(method, json);
        const body = written.body === undefined ? fc.constant(undefined) : bodyOf(written.body);
        return fc.record({
          method: mostly(
            fc.constant(written.method),
            fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"),
          ),
          target: mostly(fc.constant(written.target), target(written.target)),
          headers: fc.constant(all),
          body,
        });
      }),
  );
}

/** A message whose path has no value, or that the client cannot write, becomes a request without one. */
function writtenOr(method: (typeof contractMethods)[number], json: JsonObject) {
  try {
    return writeRestRequest(method, fromJson(method.input, json));
  } catch {
    return { method: "POST", target: `/v1/${method.name}`, body: JSON.stringify(json) };
  }
}

function bodyOf(text: string): fc.Arbitrary<Uint8Array | string> {
  const object = fc.constant(JSON.parse(text) as JsonObject);
  return fc.oneof(
    { arbitrary: jsonText(object), weight: 160 },
    { arbitrary: mutated(fc.constant(Buffer.from(text))), weight: 40 },
    { arbitrary: fc.constantFrom("gzip", "br").map((name) => bombs[name as "gzip" | "br"]()), weight: 1 },
  );
}

const headers = fc.oneof(
  { arbitrary: fc.constant({ "content-type": "application/json" }), weight: 8 },
  fc.constantFrom<Record<string, string>>(
    { "content-type": "application/json; charset=utf-16" },
    { "content-type": "text/plain" },
    { "content-type": "application/json", "content-encoding": "gzip" },
    { "content-type": "application/json", "content-encoding": "br" },
    { "content-type": "application/json", "content-encoding": "gzip, gzip" },
    { "content-type": "application/json", "idempotency-key": "fuzz-key" },
    { "content-type": "application/json", "idempotency-key": "" },
    { "content-type": "application/json", "connect-timeout-ms": "1" },
    { "content-type": "application/json", "x-server-timeout": "1e400" },
    { "content-type": "application/json", "grpc-timeout": "99999999999H" },
    { "content-type": "application/json", accept: "text/html" },
    { "content-type": "application/json", accept: ";;;q=" },
  ),
);

/** The target with a part of its path or its query changed. */
function target(text: string): fc.Arbitrary<string> {
  return fc.oneof(
    hostileText.map(
      (hostile) => `${text}${text.includes("?") ? "&" : "?"}${encodeURIComponent(hostile.toWellFormed())}=1`,
    ),
    fc
      .constantFrom("pageSize=9999999999999", "pageToken=%00", "updateMask=__proto__", "a.b.c.d=1", "%ff=%fe")
      .map((query) => `${text}${text.includes("?") ? "&" : "?"}${query}`),
    hostileText.map((hostile) => text.replace(/[^/]+$/, encodeURIComponent(hostile.toWellFormed()))),
    fc.constantFrom("/..", "//", "/%2e%2e/", "/%", "/%c0%af", ":retry", ":", "/:batch").map((end) => text + end),
    fc.constantFrom(9_000, 20_000).map((length) => `${text}?a=${"x".repeat(length)}`),
  );
}

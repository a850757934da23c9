import { fromJson, type JsonObject, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { mutated } from "../arbitrary/bytes.ts";
import { credentials } from "../arbitrary/credentials.ts";
import { jsonText } from "../arbitrary/json-text.ts";
import { messageJson } from "../arbitrary/messages.ts";
import { mostly } from "../arbitrary/values.ts";
import { type Answer, type Door, makeDoor } from "../door.ts";
import { compress, decompress, envelopedBody } from "../envelopes.ts";
import { createHttpClient, type HttpAnswer, type HttpRequest, judgeAnswer } from "../http-client.ts";
import { pathOf, unaryMethods } from "../methods.ts";
import { judgeCode } from "../verdict.ts";
import type { World } from "../world.ts";

/** Connect with JSON, by POST, and by GET with the message in the query. */
export function connectJsonDoor(httpUrl: string, world: World): Door {
  const client = createHttpClient(httpUrl);
  return makeDoor({
    name: "connect-json",
    requests: () =>
      fc.constantFrom(...unaryMethods).chain((method) =>
        fc
          .record({
            text: jsonText(messageJson(method.input, world)),
            keys: credentials(world),
            coding: mostly(fc.constant(""), fc.constantFrom("gzip", "br", "deflate", "nothing")),
            byGet: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
          })
          .map(({ text, keys, coding, byGet }): HttpRequest => {
            const path = pathOf(method);
            if (byGet) {
              const query = new URLSearchParams({ connect: "v1", encoding: "json", message: text });
              return { method: "GET", target: `${path}?${query}`, headers: keys, body: undefined };
            }
            const headers = { ...keys, "content-type": "application/json", ...coded(coding) };
            return { method: "POST", target: path, headers, body: compress(coding, Buffer.from(text)) };
          }),
      ),
    send: async (request) => judgeAnswer(await client.send(request)),
    close: client.close,
  });
}

/** Connect with binary messages, whole and damaged. */
export function connectBinaryDoor(httpUrl: string, world: World): Door {
  const client = createHttpClient(httpUrl);
  return makeDoor({
    name: "connect-binary",
    requests: () =>
      fc.constantFrom(...unaryMethods).chain((method) =>
        fc
          .record({
            bytes: messageBytes(method, world),
            keys: credentials(world),
            coding: mostly(fc.constant(""), fc.constantFrom("gzip", "br")),
          })
          .map(({ bytes, keys, coding }): HttpRequest => {
            const headers = { ...keys, "content-type": "application/proto", ...coded(coding) };
            return { method: "POST", target: pathOf(method), headers, body: compress(coding, bytes) };
          }),
      ),
    send: async (request) => judgeAnswer(await client.send(request)),
    close: client.close,
  });
}

/** gRPC-Web, binary and as base64 text. */
export function grpcWebDoor(httpUrl: string, world: World): Door {
  const client = createHttpClient(httpUrl);
  return makeDoor({
    name: "grpc-web",
    requests: () =>
      fc.constantFrom(...unaryMethods).chain((method) =>
        fc
          .record({
            body: envelopedBody(messageBytes(method, world)),
            keys: credentials(world),
            type: mostly(
              fc.constant("application/grpc-web+proto"),
              fc.constantFrom("application/grpc-web", "application/grpc-web-text", "application/grpc-web+json"),
            ),
          })
          .map(({ body, keys, type }): HttpRequest => {
            const encoding = body.encoding === undefined ? {} : { "grpc-encoding": body.encoding };
            const headers = { ...keys, ...encoding, "content-type": type, "x-grpc-web": "1" };
            return { method: "POST", target: pathOf(method), headers, body: body.bytes };
          }),
      ),
    send: async (request) => judgeGrpcWeb(await client.send(request)),
    close: client.close,
  });
}

/** A message of the method in binary; some of them damaged, some no message at all. */
export function messageBytes(method: (typeof unaryMethods)[number], world: World): fc.Arbitrary<Uint8Array> {
  const whole = messageJson(method.input, world).map((json) => binary(method, json));
  return fc.oneof(
    { arbitrary: whole, weight: 21 },
    { arbitrary: mutated(whole), weight: 9 },
    { arbitrary: fc.uint8Array({ maxLength: 80 }), weight: 3 },
    { arbitrary: fc.constantFrom(50, 1_000, 10_000).map(nestedMessage), weight: 1 },
  );
}

function binary(method: (typeof unaryMethods)[number], json: JsonObject): Uint8Array {
  try {
    return toBinary(method.input, fromJson(method.input, json));
  } catch {
    // A text that is no UTF-8, such as half of a surrogate pair, has no form in binary.
    return Buffer.from(JSON.stringify(json));
  }
}

/** Groups within groups: bytes that no field names, which a reader skips level by level. */
function nestedMessage(depth: number): Uint8Array {
  return Buffer.concat([Buffer.alloc(depth, 0x0b), Buffer.alloc(depth, 0x0c)]);
}

function coded(coding: string): Record<string, string> {
  return coding === "" ? {} : { "content-encoding": coding };
}

/** The status stands in the headers, or in the trailers at the end of the body. */
function judgeGrpcWeb(answer: HttpAnswer | undefined): Answer {
  if (answer === undefined || answer.status !== 200) return judgeAnswer(answer);
  const inHeaders = answer.headers["grpc-status"];
  const trailers = trailersOf(answer.body, `${answer.headers["grpc-encoding"]}`);
  const status = inHeaders === undefined ? /grpc-status: ?(\d+)/.exec(trailers)?.[1] : `${inHeaders}`;
  if (status === undefined) return { label: "no status", problem: "answered without a status of gRPC" };
  return judgeCode(Number(status), `${answer.headers["grpc-message"] ?? trailers}`);
}

/** The envelope with the flag 128; with the flag 1 too it is compressed. */
function trailersOf(body: Buffer, encoding: string): string {
  for (let at = 0; at + 5 <= body.length; at += 5 + body.readUInt32BE(at + 1)) {
    const flags = body[at] ?? 0;
    if ((flags & 128) === 0) continue;
    const bytes = body.subarray(at + 5);
    return `${(flags & 1) === 0 ? bytes : decompress(encoding, bytes)}`;
  }
  return "";
}

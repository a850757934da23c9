import fc from "fast-check";
import { mutated } from "../arbitrary/bytes.ts";
import { type Door, makeDoor } from "../door.ts";
import { envelope } from "../envelopes.ts";
import { exchangeRaw } from "../raw-exchange.ts";
import type { World } from "../world.ts";

interface RawFrames {
  pieces: Uint8Array[];
  ending: "end" | "cut" | "open";
}

/** Bytes on the gRPC port: frames of HTTP/2 out of order, with lies about their length, in floods, damaged, or without a preface. */
export function http2BytesDoor(grpcUrl: string, world: World): Door {
  const { hostname: host, port } = new URL(grpcUrl);
  return makeDoor({
    name: "http2-bytes",
    // Half of them wait for an answer that does not come.
    atOnce: 48,
    requests: () => requests(world),
    async send(request) {
      const came = await exchangeRaw({ host, port: Number(port), firstByteMs: 400, ...request });
      return { label: endOf(came) };
    },
  });
}

function requests(world: World): fc.Arbitrary<RawFrames> {
  const frames = fc.array(frame(world), { minLength: 1, maxLength: 12 }).map((list) => Buffer.concat(list));
  const started = frames.map((bytes) => new Uint8Array(Buffer.concat([preface, settings, bytes])));
  return fc.record({
    pieces: fc.oneof(
      { arbitrary: started.map((bytes) => [bytes]), weight: 20 },
      { arbitrary: mutated(started).map((bytes) => [bytes]), weight: 20 },
      { arbitrary: frames.map((bytes) => [new Uint8Array(bytes)]), weight: 5 },
      {
        arbitrary: fc
          .constantFrom(
            "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
            "\x16\x03\x01\x02\x00\x01",
          )
          .map((text) => [Buffer.from(text, "latin1")]),
        weight: 1,
      },
      { arbitrary: flood(world).map((bytes) => [preface, settings, bytes]), weight: 1 },
    ),
    ending: fc.constantFrom("end", "end", "cut", "open"),
  });
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** A frame (RFC 9113, section 4.1): length, type, flags, stream, payload. */
function rawFrame(type: number, flags: number, stream: number, payload: Uint8Array, length = payload.length): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length & 0xffffff, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([head, payload]);
}

const settings = rawFrame(4, 0, 0, Buffer.alloc(0));

/** Header fields as literals without indexing (RFC 7541, section 6.2.2), for names and values below 127 bytes. */
function headerBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    fields.map(([name, value]) =>
      Buffer.concat([
        Buffer.from([0, name.length]),
        Buffer.from(name, "latin1"),
        Buffer.from([value.length]),
        Buffer.from(value, "latin1"),
      ]),
    ),
  );
}

function frame(world: World): fc.Arbitrary<Buffer> {
  const stream = fc.constantFrom(0, 1, 1, 3, 3, 5, 2, 0x7fffffff, 0x80000001);
  const headers = fc
    .tuple(stream, fc.constantFrom(0, 1, 4, 4, 5, 5, 0x0c, 0x24, 0x2d, 0xff), fc.constantFrom(...headerSets(world)))
    .map(([id, flags, fields]) => rawFrame(1, flags, id, headerBlock(fields)));
  const data = fc
    .tuple(
      stream,
      fc.constantFrom(0, 1, 8, 9),
      fc.constantFrom(
        envelope(Buffer.alloc(0)),
        envelope(Buffer.from("abc"), 1),
        envelope(Buffer.alloc(10), 0, 2 ** 32 - 1),
        Buffer.alloc(0),
        Buffer.alloc(16_384),
      ),
    )
    .map(([id, flags, bytes]) => rawFrame(0, flags, id, bytes));
  const any = fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 255 }), stream, fc.uint8Array({ maxLength: 40 }))
    .map(([type, flags, id, bytes]) => rawFrame(type, flags, id, bytes));
  const lying = fc
    .tuple(
      fc.integer({ min: 0, max: 9 }),
      stream,
      fc.uint8Array({ maxLength: 20 }),
      fc.constantFrom(0, 1, 16_385, 0xffffff),
    )
    .map(([type, id, bytes, length]) => rawFrame(type, 4, id, bytes, length));
  const control = fc.oneof(
    fc
      .tuple(fc.integer({ min: 0, max: 9 }), fc.constantFrom(0, 1, 0x7fffffff, 0xffffffff))
      .map(([id, value]) => rawFrame(4, 0, 0, setting(id, value))),
    fc.tuple(stream, fc.constantFrom(0, 1, 0x7fffffff)).map(([id, size]) => rawFrame(8, 0, id, uint32(size))),
    stream.map((id) => rawFrame(3, 0, id, uint32(8))),
    fc.constant(rawFrame(6, 0, 0, Buffer.alloc(8))),
    fc.constant(rawFrame(7, 0, 0, Buffer.alloc(8))),
    stream.map((id) => rawFrame(9, 4, id, headerBlock([["a", "b"]]))),
    stream.map((id) => rawFrame(5, 4, id, uint32(2))),
  );
  return fc.oneof({ arbitrary: headers, weight: 5 }, { arbitrary: data, weight: 4 }, control, any, lying);
}

/** Many small frames that each cost the server something. */
function flood(world: World): fc.Arbitrary<Uint8Array> {
  const [get = []] = headerSets(world);
  const ids = Array.from({ length: 300 }, (_, n) => n * 2 + 1);
  return fc.constantFrom(
    Buffer.concat(
      ids.map((id) => Buffer.concat([rawFrame(1, 4, id, headerBlock(get)), rawFrame(3, 0, id, uint32(8))])),
    ),
    Buffer.concat(ids.map(() => rawFrame(6, 0, 0, Buffer.alloc(8)))),
    Buffer.concat(ids.map(() => rawFrame(4, 0, 0, setting(1, 0)))),
    Buffer.concat([
      rawFrame(1, 0, 1, headerBlock(get)),
      ...ids.map(() => rawFrame(9, 0, 1, headerBlock([["a", "b"]]))),
    ]),
    Buffer.concat([rawFrame(1, 4, 1, headerBlock(get)), ...ids.map(() => rawFrame(0, 0, 1, Buffer.alloc(0)))]),
    Buffer.concat(ids.map((id) => rawFrame(1, 4, id, headerBlock(get)))),
  );
}

function headerSets(world: World): (readonly [string, string])[][] {
  const call: (readonly [string, string])[] = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/tellwire.v1.WebhookService/ListWebhooks"],
    [":authority", "fuzz"],
    ["content-type", "application/grpc"],
    ["x-api-key", world.organizationKey.slice(0, 126)],
  ];
  return [
    call,
    call.slice(1),
    call.filter(([name]) => name !== ":path"),
    call.filter(([name]) => name !== ":authority"),
    [...call, [":path", "/again"]],
    [...call.slice(4), ...call.slice(0, 4)],
    [...call, ["Upper", "case"]],
    [...call, ["connection", "close"]],
    [...call, ["transfer-encoding", "chunked"]],
    [...call, ["content-length", "-1"]],
    [...call, ["a", "b\r\nc"]],
    [...call, ["", ""]],
    [...call, [":unknown", "x"]],
    [
      [":method", "CONNECT"],
      [":authority", "x:1"],
    ],
    [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "*"],
      [":authority", "x"],
    ],
    [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "nothing"],
      [":authority", "x y"],
    ],
  ];
}

function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id, 0);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** How the connection ended: with a frame of GOAWAY (type 7), or without. */
function endOf(bytes: Buffer): string {
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === 7) return "GOAWAY";
  }
  return bytes.length === 0 ? "closed" : "frames";
}

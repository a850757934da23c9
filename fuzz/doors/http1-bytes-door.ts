import fc from "fast-check";
import { mutated } from "../arbitrary/bytes.ts";
import { edgeJsonText, mostly } from "../arbitrary/values.ts";
import { type Answer, type Door, makeDoor } from "../door.ts";
import { exchangeRaw } from "../raw-exchange.ts";
import { judgeStatus } from "../verdict.ts";
import type { World } from "../world.ts";

interface RawRequest {
  pieces: Uint8Array[];
  ending: "end" | "cut" | "open";
}

/** Bytes on the HTTP port: requests with shapes of request smuggling, floods of headers, bad chunks, cut bodies, and damaged ones. */
export function http1BytesDoor(httpUrl: string, world: World): Door {
  const { hostname: host, port } = new URL(httpUrl);
  return makeDoor({
    name: "http1-bytes",
    // Half of them wait for an answer that does not come.
    atOnce: 48,
    requests: () => requests(world),
    send: async (request) => judge(await exchangeRaw({ host, port: Number(port), firstByteMs: 400, ...request })),
  });
}

function requests(world: World): fc.Arbitrary<RawRequest> {
  const bytes = shapes(world).map((text) => new Uint8Array(Buffer.from(text, "latin1")));
  return fc.record({
    pieces: fc.oneof(
      { arbitrary: bytes.map((whole) => [whole]), weight: 4 },
      { arbitrary: mutated(bytes).map((whole) => [whole]), weight: 4 },
      {
        arbitrary: fc.tuple(bytes, fc.double({ min: 0, max: 1, noNaN: true })).map(([whole, at]) => halves(whole, at)),
        weight: 1,
      },
      { arbitrary: fc.uint8Array({ minLength: 1, maxLength: 200 }).map((whole) => [whole]), weight: 1 },
    ),
    ending: fc.constantFrom("end", "end", "end", "cut", "open"),
  });
}

function halves(bytes: Uint8Array, at: number): Uint8Array[] {
  const middle = Math.floor(at * bytes.length);
  return [bytes.subarray(0, middle), bytes.subarray(middle)];
}

/** Whole texts of requests, good and bad. */
function shapes(world: World): fc.Arbitrary<string> {
  const body = mostly(
    fc.constant('{"type":"fuzz.seen","data":{}}'),
    edgeJsonText.map((text) => text.slice(0, 2_000)),
  );
  const key = `x-api-key: ${world.organizationKey}\r\n`;
  const request = (line: string, headers: string, rest = ""): string =>
    `${line}\r\nhost: fuzz\r\n${key}${headers}\r\n${rest}`;
  const framed = fc
    .record({ body, framing: fc.constantFrom(...framings), line: fc.constantFrom(...lines) })
    .map(({ body: text, framing, line }) => {
      const headers = framing.replaceAll("LENGTH", `${Buffer.byteLength(text, "latin1")}`);
      const chunks = `${Buffer.byteLength(text, "latin1").toString(16)}\r\n${text}\r\n0\r\n\r\n`;
      return request(line, `content-type: application/json\r\n${headers}`, /chunked/i.test(framing) ? chunks : text);
    });
  const badChunks = fc
    .constantFrom(...chunkTexts)
    .map((text) =>
      request("POST /v1/events HTTP/1.1", "content-type: application/json\r\ntransfer-encoding: chunked\r\n", text),
    );
  const oddHeaders = fc.constantFrom(...headerTexts).map((text) => request("GET /v1/webhooks HTTP/1.1", text));
  const flood = fc
    .tuple(fc.constantFrom(10, 500, 3_000), fc.constantFrom(1, 30, 3_000))
    .map(([count, length]) =>
      request("GET /v1/webhooks HTTP/1.1", `a: ${"x".repeat(length)}\r\n`.repeat(Math.min(count, 200_000 / length))),
    );
  const oddLines = fc.constantFrom(...oddLineTexts).map((line) => request(line, ""));
  const pipeline = fc.array(framed, { minLength: 2, maxLength: 5 }).map((texts) => texts.join(""));
  return fc.oneof(
    { arbitrary: framed, weight: 18 },
    { arbitrary: badChunks, weight: 6 },
    { arbitrary: oddHeaders, weight: 6 },
    { arbitrary: oddLines, weight: 6 },
    { arbitrary: pipeline, weight: 3 },
    { arbitrary: flood, weight: 1 },
  );
}

const lines = [
  "POST /v1/events HTTP/1.1",
  "POST /tellwire.v1.EventService/PublishEvent HTTP/1.1",
  "POST /v1/webhooks HTTP/1.1",
  "POST /v2/webhooks HTTP/1.1",
  "POST /v1/webhook-endpoints HTTP/1.1",
  "POST /apps/x/webhooks HTTP/1.1",
  "PUT /metrics HTTP/1.1",
  "GET /openapi.json HTTP/1.1",
];

/** How long a body is said to be: in one way, in two that contradict each other, in ways that are read differently. */
const framings = [
  "content-length: LENGTH\r\n",
  "transfer-encoding: chunked\r\n",
  "content-length: LENGTH\r\ntransfer-encoding: chunked\r\n",
  "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
  "content-length: LENGTH\r\ncontent-length: 5\r\n",
  "content-length: LENGTH, LENGTH\r\n",
  "content-length: +LENGTH\r\n",
  "content-length: 0xLENGTH\r\n",
  "content-length: -1\r\n",
  "content-length: 99999999999999999999\r\n",
  "content-length:\r\n",
  "content-length: 1\r\n",
  "content-length: 5000\r\n",
  "transfer-encoding: xchunked\r\n",
  "transfer-encoding : chunked\r\n",
  "transfer-encoding: chunked, identity\r\n",
  "transfer-encoding: identity, chunked\r\n",
  "transfer-encoding:\tchunked\r\n",
  "transfer-encoding: gzip, chunked\r\n",
  "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
  "expect: 100-continue\r\ncontent-length: LENGTH\r\n",
  "expect: 200-ok\r\ncontent-length: LENGTH\r\n",
  "content-length: LENGTH\r\ncontent-encoding: gzip\r\n",
];

const chunkTexts = [
  "0\r\n\r\n",
  "ffffffffffffffff\r\nx\r\n0\r\n\r\n",
  "-1\r\nx\r\n0\r\n\r\n",
  "5\r\nab\r\n0\r\n\r\n",
  "2\r\nabcd\r\n0\r\n\r\n",
  "2;a=b;c\r\n{}\r\n0\r\n\r\n",
  `2;${"x".repeat(20_000)}\r\n{}\r\n0\r\n\r\n`,
  "2\n{}\n0\n\n",
  "2\r\n{}\r\n0\r\ntrailer: x\r\n\r\n",
  "2\r\n{}\r\n0\r\ncontent-length: 5\r\n\r\n",
  "zz\r\n{}\r\n",
  " 2\r\n{}\r\n0\r\n\r\n",
  "2\r\n{}",
  "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n".repeat(50),
];

const headerTexts = [
  "a: b\r\n folded\r\n",
  "a: b\rc: d\r\n",
  "a: b\nc: d\r\n",
  "a\0: b\r\n",
  "a: \0\r\n",
  ": b\r\n",
  "a b: c\r\n",
  "host: other\r\n",
  "connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
  "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AAAA\r\nsec-websocket-version: 13\r\n",
  "connection: close, x-api-key\r\n",
  "range: bytes=0-18446744073709551615\r\n",
  "accept-encoding: gzip;q=NaN, br;q=1e400\r\n",
  "idempotency-key: \xff\r\n",
  "authorization: Bearer \xff\xfe\r\n",
  "__proto__: x\r\n",
  "constructor: x\r\nhasownproperty: y\r\n",
];

const oddLineTexts = [
  "GET http://other.example/v1/webhooks HTTP/1.1",
  "GET /v1/webhooks HTTP/1.0",
  "GET /v1/webhooks HTTP/2.0",
  "GET /v1/webhooks HTTP/0.9",
  "GET /v1/webhooks",
  "CONNECT 127.0.0.1:80 HTTP/1.1",
  "OPTIONS * HTTP/1.1",
  "TRACE / HTTP/1.1",
  "GET * HTTP/1.1",
  "GET //v1//webhooks HTTP/1.1",
  "GET /%00 HTTP/1.1",
  "GET /v1/webhooks/%ff HTTP/1.1",
  "GET /v1/events/%E0%A4%A HTTP/1.1",
  "GET /\xff HTTP/1.1",
  "GET  /v1/webhooks  HTTP/1.1",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  `GET /${"x".repeat(9_000)} HTTP/1.1`,
  "M-SEARCH /v1/webhooks HTTP/1.1",
  "get /v1/webhooks HTTP/1.1",
];

/** Every answer on the connection counts: of several, one that is a finding. */
function judge(bytes: Buffer): Answer {
  const text = bytes.toString("latin1");
  const answers = [...text.matchAll(/HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n/g)].map(([, status]) =>
    judgeStatus(Number(status), text),
  );
  return answers.find(({ problem }) => problem !== undefined) ?? answers[0] ?? { label: "closed" };
}

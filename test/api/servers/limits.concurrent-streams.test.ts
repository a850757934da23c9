import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import type { Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { waitFor } from "../../support/wait-for.ts";
import { openRawConnection } from "./raw-connection.ts";
import { organizationRoutes, startTestServers } from "./test-servers.ts";

const maxConcurrentStreams = 8;
const path = "/tellwire.v1.OrganizationService/GetOrganization";

async function startHeldServers() {
  const release = Promise.withResolvers<void>();
  const held = { now: 0, most: 0 };
  const { grpcUrl } = await startTestServers({
    limits: { maxConcurrentStreams },
    routes: organizationRoutes(async () => {
      held.now += 1;
      held.most = Math.max(held.most, held.now);
      await release.promise;
      held.now -= 1;
    }),
  });
  return { grpcUrl, held, release: release.resolve };
}

test("a client that goes by the settings waits with the calls beyond the limit, and all are answered", async () => {
  const { grpcUrl, held, release } = await startHeldServers();
  const session = connectHttp2(grpcUrl);
  onTestFinished(() => session.destroy());
  await once(session, "remoteSettings");
  const answers = Array.from({ length: 3 * maxConcurrentStreams }, async () => {
    const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
    const stream = session.request(headers);
    stream.end(Buffer.alloc(5));
    const trailers = once(stream, "trailers");
    stream.resume();
    return (await trailers)[0]["grpc-status"];
  });
  await waitFor(() => held.now === maxConcurrentStreams, { what: "the calls within the limit" });
  release();
  expect(await Promise.all(answers)).toEqual(answers.map(() => "0"));
  expect(held.most).toBe(maxConcurrentStreams);
});

test("a client that does not is refused the calls beyond the limit, and the others are not touched", async () => {
  const { grpcUrl, held, release } = await startHeldServers();
  const { socket } = openRawConnection(grpcUrl);
  const frames = readFrames(socket);
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(frame(settingsType, 0, 0, Buffer.alloc(0)));
  for (let call = 0; call < maxConcurrentStreams + 1; call++) socket.write(grpcCall(2 * call + 1));
  const refused = await waitFor(() => frames.find(({ type }) => type === resetType), { what: "a refused stream" });
  expect(refused.streamId).toBe(2 * maxConcurrentStreams + 1);
  expect(refused.payload.readUInt32BE()).toBe(refusedStream);
  // The refusal needs nobody's work, and may overtake the calls before it on their way.
  await waitFor(() => held.now === maxConcurrentStreams, { what: "the calls within the limit" });
  expect(held.most).toBe(maxConcurrentStreams);
  release();
  // A HEADERS frame with END_STREAM are the trailers of a call.
  const ended = await waitFor(
    () => {
      const trailers = frames.filter(({ type, flags }) => type === headersType && (flags & endStream) !== 0);
      return trailers.length === maxConcurrentStreams && trailers;
    },
    { what: "the answers" },
  );
  expect(held.most).toBe(maxConcurrentStreams);
  expect(ended.map(({ streamId }) => streamId).sort((one, other) => one - other)).toEqual(
    Array.from({ length: maxConcurrentStreams }, (_, index) => 2 * index + 1),
  );
});

// The frames of RFC 9113, section 6.
const dataType = 0;
const headersType = 1;
const resetType = 3;
const settingsType = 4;
const endStream = 1;
const endHeaders = 4;
const refusedStream = 7;

interface Frame {
  type: number;
  flags: number;
  streamId: number;
  payload: Buffer;
}

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** A call with an empty message, its headers without compression (RFC 7541: indexed names of the static table, literal values). */
function grpcCall(streamId: number): Buffer {
  const post = 0x83;
  const http = 0x86;
  const literal = (name: Buffer, value: string) =>
    Buffer.concat([name, Buffer.from([value.length]), Buffer.from(value)]);
  const headers = Buffer.concat([
    Buffer.from([post, http]),
    literal(Buffer.from([0x04]), path),
    literal(Buffer.from([0x01]), "localhost"),
    literal(Buffer.from([0x0f, 31 - 15]), "application/grpc"),
  ]);
  return Buffer.concat([
    frame(headersType, endHeaders, streamId, headers),
    frame(dataType, endStream, streamId, Buffer.alloc(5)),
  ]);
}

/** The frames that come, as they come. */
function readFrames(socket: Socket): Frame[] {
  const frames: Frame[] = [];
  let rest = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      const [type, flags, streamId] = [rest.readUInt8(3), rest.readUInt8(4), rest.readUInt32BE(5)];
      frames.push({ type, flags, streamId, payload: rest.subarray(9, end) });
      rest = rest.subarray(end);
    }
  });
  return frames;
}

import { type ClientHttp2Session, connect } from "node:http2";
import fc from "fast-check";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { EventService } from "../../gen/tellwire/v1/event_service_pb.ts";
import { credentials } from "../arbitrary/credentials.ts";
import { mostly } from "../arbitrary/values.ts";
import { type Answer, type Door, makeDoor } from "../door.ts";
import { type EnvelopedBody, envelopedBody } from "../envelopes.ts";
import { pathOf, unaryMethods } from "../methods.ts";
import { judgeCode, judgeStatus } from "../verdict.ts";
import type { World } from "../world.ts";
import { messageBytes } from "./connect-doors.ts";

interface FramedCall {
  path: string;
  headers: Record<string, string>;
  body: EnvelopedBody;
  /** Whether the client leaves in the middle. */
  leaves: boolean;
}

/** gRPC and Connect's streams frame by frame: lengths that lie, messages that decompress into more than fits, calls that are left. */
export function grpcFramesDoor(grpcUrl: string, world: World): Door {
  let session: ClientHttp2Session | undefined;
  const sessionOfNow = (): ClientHttp2Session => {
    if (session === undefined || session.closed || session.destroyed) {
      session = connect(grpcUrl);
      session.on("error", () => {});
    }
    return session;
  };
  return makeDoor({
    name: "grpc-frames",
    requests: () => calls(world),
    async send(call) {
      if (!endsConnection(call)) return await send(sessionOfNow(), call);
      const own = connect(grpcUrl);
      own.on("error", () => {});
      try {
        return await send(own, call);
      } finally {
        own.destroy();
      }
    },
    close: () => session?.destroy(),
  });
}

/** A body of another length than was said is an error of the whole connection: the other calls on it would end too. */
function endsConnection({ headers }: FramedCall): boolean {
  return headers["content-length"] !== undefined;
}

const paths = [
  ...unaryMethods.map((method) => pathOf(method)),
  ...Array.from({ length: 8 }, () => pathOf(EventService.method.publishEventStream)),
  pathOf(ServerReflection.method.serverReflectionInfo),
  "/tellwire.v1.EventService/Nothing",
];

function calls(world: World): fc.Arbitrary<FramedCall> {
  const message = fc.constantFrom(...unaryMethods).chain((method) => messageBytes(method, world));
  return fc.record({
    path: fc.constantFrom(...paths),
    headers: fc
      .record({
        keys: credentials(world),
        type: mostly(
          fc.constant("application/grpc"),
          fc.constantFrom(
            "application/grpc+proto",
            "application/grpc+json",
            "application/connect+json",
            "application/connect+proto",
            "application/proto",
          ),
        ),
        more: mostly(
          fc.constant<Record<string, string>>({ te: "trailers" }),
          fc.constantFrom<Record<string, string>>(
            { "grpc-timeout": "1n" },
            { "grpc-timeout": "abc" },
            { "grpc-accept-encoding": "nothing" },
            { "x-bin": "%%%" },
            { "content-length": "1" },
          ),
        ),
      })
      .map(({ keys, type, more }) => ({ ...keys, ...more, "content-type": type })),
    body: envelopedBody(message),
    leaves: fc.integer({ min: 0, max: 15 }).map((n) => n === 0),
  });
}

function send(session: ClientHttp2Session, { path, headers, body, leaves }: FramedCall): Promise<Answer> {
  return new Promise((resolve) => {
    const coding = body.encoding === undefined ? {} : encodingHeaders(headers["content-type"] ?? "", body.encoding);
    let stream: ReturnType<ClientHttp2Session["request"]>;
    try {
      stream = session.request({ ":method": "POST", ":path": path, ...headers, ...coding });
    } catch {
      resolve({ label: "not sent" });
      return;
    }
    let answer: Answer = { label: "closed" };
    const readStatus = (fields: Record<string, unknown>): void => {
      const code = fields["grpc-status"];
      const text = `${fields["grpc-message"] ?? ""}`;
      if (code !== undefined) answer = judgeCode(Number(code), decodeURIComponent(text));
    };
    stream.on("response", (fields) => {
      answer = judgeStatus(fields[":status"] ?? 0);
      readStatus(fields);
    });
    stream.on("trailers", readStatus);
    stream.on("error", () => {});
    // Node does not always close a stream that the server has ended while something was still to be written on it.
    for (const event of ["end", "close"]) stream.once(event, () => resolve(answer));
    stream.resume();
    if (leaves) {
      stream.write(body.bytes.subarray(0, body.bytes.length >> 1), () => stream.close(8));
    } else {
      stream.end(body.bytes);
    }
  });
}

function encodingHeaders(contentType: string, encoding: string): Record<string, string> {
  return contentType.includes("connect") ? { "connect-content-encoding": encoding } : { "grpc-encoding": encoding };
}

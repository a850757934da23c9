import { type Client, credentials as channelCredentials, Metadata, makeGenericClientConstructor } from "@grpc/grpc-js";
import fc from "fast-check";
import { credentials } from "../arbitrary/credentials.ts";
import { type Answer, type Door, makeDoor } from "../door.ts";
import { pathOf, unaryMethods } from "../methods.ts";
import { judgeCode } from "../verdict.ts";
import type { World } from "../world.ts";
import { messageBytes } from "./connect-doors.ts";

interface GrpcCall {
  path: string;
  bytes: Uint8Array;
  metadata: Record<string, string>;
}

/** gRPC by a client that many use, with bytes of our own as its messages. */
export function grpcJsDoor(grpcUrl: string, world: World): Door {
  const NoMethods = makeGenericClientConstructor({}, "fuzz");
  const client = new NoMethods(new URL(grpcUrl).host, channelCredentials.createInsecure());
  return makeDoor({
    name: "grpc-js",
    requests: () =>
      fc.constantFrom(...unaryMethods).chain((method) =>
        fc.record<GrpcCall>({
          path: fc.constant(pathOf(method)),
          bytes: messageBytes(method, world),
          metadata: credentials(world),
        }),
      ),
    send: (call) => unary(client, call),
    close: () => client.close(),
  });
}

function unary(client: Client, { path, bytes, metadata: keys }: GrpcCall): Promise<Answer> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(keys)) metadata.set(name, value);
  const same = (value: Buffer) => value;
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      path,
      same,
      same,
      Buffer.from(bytes),
      metadata,
      { deadline: Date.now() + 120_000 },
      (error) => resolve(error === null ? judgeCode(0) : judgeCode(error.code, error.details)),
    );
  });
}

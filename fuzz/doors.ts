import type { Door } from "./door.ts";
import { connectBinaryDoor, connectJsonDoor, grpcWebDoor } from "./doors/connect-doors.ts";
import { dialectDoor } from "./doors/dialect-door.ts";
import { grpcFramesDoor } from "./doors/grpc-frames-door.ts";
import { grpcJsDoor } from "./doors/grpc-js-door.ts";
import { http1BytesDoor } from "./doors/http1-bytes-door.ts";
import { http2BytesDoor } from "./doors/http2-bytes-door.ts";
import { natsDoor } from "./doors/nats-door.ts";
import { restDoor } from "./doors/rest-door.ts";
import type { Servers } from "./servers.ts";
import type { World } from "./world.ts";

export const doorNames = [
  "rest",
  "connect-json",
  "connect-binary",
  "grpc-web",
  "grpc-js",
  "grpc-frames",
  "dialects",
  "http1-bytes",
  "http2-bytes",
  "nats",
] as const;

export type DoorName = (typeof doorNames)[number];

/** Opens the doors of these names; NATS only where the server has it. */
export async function openDoors(names: readonly DoorName[], servers: Servers, world: World): Promise<Door[]> {
  const { nats } = servers;
  const { httpUrl, grpcUrl } = servers.tellwire;
  const openers: Record<DoorName, () => Door | Promise<Door> | undefined> = {
    rest: () => restDoor(httpUrl, world),
    "connect-json": () => connectJsonDoor(httpUrl, world),
    "connect-binary": () => connectBinaryDoor(httpUrl, world),
    "grpc-web": () => grpcWebDoor(httpUrl, world),
    "grpc-js": () => grpcJsDoor(grpcUrl, world),
    "grpc-frames": () => grpcFramesDoor(grpcUrl, world),
    dialects: () => dialectDoor(httpUrl, world),
    "http1-bytes": () => http1BytesDoor(httpUrl, world),
    "http2-bytes": () => http2BytesDoor(grpcUrl, world),
    nats: () => (nats === undefined ? undefined : natsDoor(nats.url, world)),
  };
  const doors = await Promise.all(names.map((name) => openers[name]()));
  return doors.filter((door) => door !== undefined);
}

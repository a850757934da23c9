import { createFreeRoom } from "./free-room.ts";

/** Bounds what a consumer holds by its bytes, in addition to the number of messages. */
export interface ByteRoom {
  /** A message came that is not held yet. */
  enter(bytes: number): void;
  leave(bytes: number): void;
  /** How many messages may be asked for now beside those `asked` for that have not come; at least one where none is held and none asked for. */
  messages(asked: number): number;
  /** Nothing has come for a while: what comes next may be of any size. */
  forgetSizes(): void;
}

/**
 * Makes an empty room of that many bytes. The size of what has not come yet is taken to be that of the largest message of late, at first that of the
 * largest which is taken where nothing else is configured. Where small messages are followed by large ones all at once, those that were asked for
 * before still come: the room is passed once, and the next ones are asked for when there is room again. A message larger than the whole room comes alone.
 */
export function createByteRoom(maxBytes: number): ByteRoom {
  const freeRoom = createFreeRoom(maxBytes / 8);
  let held = 0;
  let expected = unknownBytes;
  return {
    enter(bytes) {
      held += bytes;
      expected = Math.max(bytes, expected - expected / remembered);
    },
    leave(bytes) {
      held -= bytes;
    },
    messages(asked) {
      const free = freeRoom.take(maxBytes - held);
      return Math.max(Math.floor(free / expected) - asked, free > 0 && asked === 0 ? 1 : 0);
    },
    forgetSizes() {
      expected = Math.max(expected, unknownBytes);
    },
  };
}

const unknownBytes = 256 * 1024;
/** About so many messages after the last large one, the next ones are taken to be small. */
const remembered = 64;

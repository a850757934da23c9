import { expect, test } from "vitest";
import { createByteRoom } from "../../src/broker/byte-room.ts";

const mebibyte = 1024 * 1024;

test("before anything came, messages are taken to be as large as events may be", () => {
  const room = createByteRoom(mebibyte);
  expect(room.messages(0)).toBe(4);
  expect(room.messages(3)).toBe(1);
  expect(room.messages(4)).toBe(0);
});

test("where messages are small, more are asked for; after a pause they may be of any size", () => {
  const room = createByteRoom(mebibyte);
  for (let index = 0; index < 1_000; index++) {
    room.enter(1_000);
    room.leave(1_000);
  }
  expect(room.messages(0)).toBeGreaterThan(1_000);
  room.forgetSizes();
  expect(room.messages(0)).toBe(4);
});

test("what is full asks for nothing until an eighth of it is free", () => {
  const room = createByteRoom(800);
  for (let index = 0; index < 8; index++) room.enter(100);
  expect(room.messages(0)).toBe(0);
  room.leave(99);
  expect(room.messages(0)).toBe(0);
  room.leave(1);
  expect(room.messages(0)).toBe(1);
});

test("a message larger than the room comes when nothing else is there, so that nothing stands still", () => {
  const room = createByteRoom(1_000);
  room.enter(50_000);
  expect(room.messages(0)).toBe(0);
  room.leave(50_000);
  expect(room.messages(0)).toBe(1);
  expect(room.messages(1)).toBe(0);
});

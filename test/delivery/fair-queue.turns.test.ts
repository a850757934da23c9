import { describe, expect, it } from "vitest";
import { createFairQueue } from "../../src/delivery/fair-queue.ts";
import { createWaitingRoom } from "../../src/delivery/waiting-room.ts";

function allOf(queue: ReturnType<typeof createFairQueue<string>>): string[] {
  const taken: string[] = [];
  for (let next = queue.next(); next !== undefined; next = queue.next()) taken.push(next);
  return taken;
}

describe("those who wait", () => {
  it("get their turns by organization first, and then in the order in which they came", () => {
    const queue = createFairQueue<string>();
    for (const member of ["a1", "a2", "a3", "a4", "b1", "b2", "c1"]) queue.add(member[0] as string, member);
    expect(allOf(queue)).toEqual(["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
    expect(queue.isEmpty).toBe(true);
  });

  it("stand in the line once, and who comes back is the last of the organization", () => {
    const queue = createFairQueue<string>();
    queue.add("a", "a1");
    queue.add("a", "a2");
    queue.add("a", "a1");
    expect(queue.next()).toBe("a1");
    queue.add("a", "a1");
    expect(queue.size).toBe(2);
    expect(allOf(queue)).toEqual(["a2", "a1"]);
    expect(queue.size).toBe(0);
  });
});

describe("the room for what waits in memory", () => {
  it("is everybody's while it is half empty, and shared beyond that", () => {
    const room = createWaitingRoom(100);
    for (let entered = 0; entered < 60 && room.hasPlace("large"); entered += 1) room.enter("large");
    expect(room.size()).toBe(60);
    expect(room.hasPlace("small")).toBe(true);
    room.enter("small");
    // The fair share is 50 each now: who has more adds nothing until it has less.
    expect(room.hasPlace("large")).toBe(false);
    expect(room.hasPlace("small")).toBe(true);
    for (let left = 0; left < 11; left += 1) room.leave("large");
    expect(room.size()).toBe(50);
    expect(room.hasPlace("large")).toBe(true);
  });

  it("is never more than full", () => {
    const room = createWaitingRoom(10);
    while (room.hasPlace("only")) room.enter("only");
    expect(room.size()).toBe(10);
    expect(room.hasPlace("another")).toBe(false);
  });
});

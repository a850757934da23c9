import type { FastPath } from "../../src/delivery/fast-path.ts";
import type { AttemptTask } from "../../src/delivery/make-attempt.ts";

/** A fast path of which only the beginning of a delivery matters: it counts as recorded when the promise resolves. */
export function startingFastPath(deliver: (task: AttemptTask) => Promise<void>): FastPath {
  return {
    deliver: (task, onRecorded) => void deliver(task).then(() => onRecorded(), onRecorded),
    unpark: () => {},
    isUnderWay: () => false,
    hasRoom: () => true,
    waiting: () => 0,
    drain: () => Promise.resolve(),
  };
}

import { LRUCache } from "lru-cache";

/**
 * Lets a line through for each subject at most once a minute, with how many were held back since the last one; undefined: hold this one back.
 * What happens again and again is told, and does not fill the log.
 */
export type OnceAMinute = (subject: string) => { heldBack: number } | undefined;

export function createOnceAMinute(now: () => number): OnceAMinute {
  const told = new LRUCache<string, { at: number; heldBack: number }>({ max: 10_000 });
  return (subject) => {
    const last = told.get(subject);
    if (last !== undefined && now() - last.at < minuteMs) {
      last.heldBack += 1;
      return undefined;
    }
    told.set(subject, { at: now(), heldBack: 0 });
    return { heldBack: last?.heldBack ?? 0 };
  };
}

const minuteMs = 60_000;

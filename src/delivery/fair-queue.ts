/** Those who wait for something scarce, by turns: organizations first, then what waits of one organization. */
export interface FairQueue<Member> {
  /** Joins at the end of the organization's line. Who is in it already keeps the place. */
  add(organizationId: string, member: Member): void;
  /** Takes out whose turn it is; undefined where nobody waits. */
  next(): Member | undefined;
  readonly isEmpty: boolean;
  /** How many members wait. */
  readonly size: number;
}

/** Makes an empty queue. Every operation takes the same short time, however many wait. */
export function createFairQueue<Member>(): FairQueue<Member> {
  /** The organization whose turn it is comes first, and likewise its member. */
  const lines = new Map<string, Set<Member>>();
  let size = 0;
  return {
    get isEmpty() {
      return size === 0;
    },
    get size() {
      return size;
    },
    add(organizationId, member) {
      const line = lines.get(organizationId);
      if (line === undefined) {
        lines.set(organizationId, new Set([member]));
        size += 1;
      } else if (!line.has(member)) {
        line.add(member);
        size += 1;
      }
    },
    next() {
      for (const [organizationId, line] of lines) {
        lines.delete(organizationId);
        for (const member of line) {
          line.delete(member);
          size -= 1;
          if (line.size > 0) {
            lines.set(organizationId, line);
          }
          return member;
        }
      }
      return undefined;
    },
  };
}

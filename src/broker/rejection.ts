import type { RejectReason } from "./broker.ts";

/** A message that is no event. */
export interface Rejected {
  kind: "rejected";
  reason: RejectReason;
  /** What is wrong and how it should be, for the publisher. */
  detail: string;
}

export function rejected(reason: RejectReason, detail: string): Rejected {
  return { kind: "rejected", reason, detail };
}

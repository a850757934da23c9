/** What a recovery sends: what was given up, or what was never sent. */
export type RecoveryScope = "FAILED" | "NEVER_SENT";

export type RecoveryStatus = "RUNNING" | "COMPLETED" | "CANCELLED" | "FAILED";

/** What says how far a recovery is. */
export interface RecoveryPosition {
  status: RecoveryStatus;
  since: Date;
  until: Date;
  /** The time of the last thing that it looked at; null before the first one. */
  reached: Date | null;
}

/** How far a recovery is on its way through the time that it covers: a whole percentage, and 100 only when it has completed. */
export function progressPercent({ status, since, until, reached }: RecoveryPosition): number {
  if (status === "COMPLETED") return 100;
  if (reached === null) return 0;
  const part = (reached.getTime() - since.getTime()) / (until.getTime() - since.getTime());
  return Math.max(0, Math.min(99, Math.floor(part * 100)));
}

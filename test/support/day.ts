import { waitFor } from "./wait-for.ts";

/** Waits until the day (UTC) goes on for that many milliseconds: what is counted a day is not to begin anew in the middle of a test. */
export async function waitForRoomInDay(ms: number): Promise<void> {
  await waitFor(() => dayMs - (Date.now() % dayMs) >= ms, { timeoutMs: ms + 10_000, what: "the next day" });
}

const dayMs = 24 * 60 * 60_000;

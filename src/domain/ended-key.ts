import { TellwireError } from "../errors.ts";

/**
 * KEY_INVALID for a key or token that was good once, and is no more: it has expired, was revoked, or ended with what it was made with. `message` is
 * the whole of it. Make it only where the caller has proved to have the real one: nobody guesses those, so they count as no wrong keys.
 */
export function endedKey(message: string, cause?: unknown): TellwireError {
  return new TellwireError("KEY_INVALID", message, { metadata: { [mark]: "true" }, cause });
}

/** Whether an error is one that `endedKey` made. Programs of callers can tell it by the same fact of the error. */
export function isEndedKey(error: unknown): boolean {
  return error instanceof TellwireError && error.reason === "KEY_INVALID" && error.metadata[mark] === "true";
}

const mark = "ended";

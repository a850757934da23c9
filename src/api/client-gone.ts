/**
 * Whether an error says that the client of a call has left, in the middle of its request or of its answer: Node throws it where somebody reads or
 * writes on, and it is no failure of ours.
 */
export function isClientGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && codes.has(`${error.code}`);
}

const codes: ReadonlySet<string> = new Set(["ERR_HTTP2_INVALID_STREAM", "ERR_STREAM_PREMATURE_CLOSE"]);

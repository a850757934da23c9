import type { Answer } from "./door.ts";

/** Statuses of 5xx that a caller may see by the contract: not served, not available, too late. */
const declaredStatuses: ReadonlySet<number> = new Set([501, 503, 504, 505]);

/** Codes of gRPC (google.rpc.Code) that say that the server is at fault: UNKNOWN, INTERNAL and DATA_LOSS. */
const faultCodes: ReadonlySet<number> = new Set([2, 13, 15]);

/** INTERNAL by the protocol: https://github.com/grpc/grpc/blob/master/doc/compression.md, on a compressed message without a coding. */
const undeclaredCompression = "received compressed envelope, but do not know how to decompress";

const codeNames = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** Judges an answer of HTTP: any 5xx that is not a declared one is a finding. `detail` is shown with it. */
export function judgeStatus(status: number, detail = ""): Answer {
  const label = `${status}`;
  if (status < 500 || declaredStatuses.has(status)) return { label };
  return { label, problem: `answered with ${status}: ${detail.slice(0, 300)}` };
}

/** The same for a status of gRPC. */
export function judgeCode(code: number, detail = ""): Answer {
  const label = codeNames[code] ?? `code ${code}`;
  if (code >= 0 && code < codeNames.length && !faultCodes.has(code)) return { label };
  if (decodeURIComponent(detail.replaceAll(/%(?![\dA-F]{2})/gi, "%25")).includes(undeclaredCompression))
    return { label };
  return { label, problem: `answered with ${label}: ${detail.slice(0, 300)}` };
}

import { ValidationError } from "@bufbuild/protovalidate";
import { ConnectError } from "@connectrpc/connect";
import { TellwireError } from "../errors.ts";
import { isDatabaseUnavailable } from "../usecases/database-failure.ts";
import { violationsError } from "./field-violations.ts";

/** An error that may be shown to a caller. `log` is set where whoever runs the server has to see the cause. */
export interface CallerError {
  error: TellwireError;
  log: boolean;
}

/**
 * Turns whatever was thrown into an error for callers. Errors of ours and of the contract's rules are shown as they are; everything else is
 * INTERNAL without a word of what happened inside, and `requestId` is what caller and log have in common. Undefined for an error of the
 * protocol itself (cancelled, unknown method, …), which goes its own way.
 */
export function callerError(thrown: unknown, requestId: string): CallerError | undefined {
  if (thrown instanceof TellwireError) {
    if (thrown.code !== "INTERNAL") return { error: thrown, log: thrown.code === "UNAVAILABLE" };
    return { error: internal(thrown, requestId, thrown.reason), log: true };
  }
  if (thrown instanceof ConnectError) {
    if (thrown.cause instanceof ValidationError) {
      return { error: violationsError(thrown.cause.violations), log: false };
    }
    return isRuleFailure(thrown) ? { error: internal(thrown, requestId, "INTERNAL"), log: true } : undefined;
  }
  if (isDatabaseUnavailable(thrown)) {
    const message = "the database cannot be reached: try again soon";
    return {
      error: new TellwireError("DATABASE_UNAVAILABLE", message, { cause: thrown, retryAfterMs: 1000 }),
      log: true,
    };
  }
  return { error: internal(thrown, requestId, "INTERNAL"), log: true };
}

/** A rule of the contract that cannot be evaluated is our fault, although the validation calls it an invalid argument. */
function isRuleFailure({ cause }: ConnectError): boolean {
  return cause instanceof Error && (cause.name === "CompilationError" || cause.name === "RuntimeError");
}

function internal(cause: unknown, requestId: string, reason: TellwireError["reason"]): TellwireError {
  const message = `something went wrong in the server; its log has the details under the request id ${requestId}`;
  return new TellwireError(reason, message, { cause, metadata: { request_id: requestId } });
}

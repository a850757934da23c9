import { TellwireError } from "../errors.ts";
import { describeError } from "../telemetry/logged-error.ts";

/**
 * What to tell somebody whose command failed: a sentence for what they can mend (our own errors, and what the system refused), and the
 * stack for what is a bug.
 */
export function failureText(error: unknown): string {
  if (error instanceof TellwireError) return ownFailureText(error);
  const refused = systemErrorIn(error);
  if (refused !== undefined) return systemFailureText(refused);
  return describeError(error);
}

function ownFailureText({ message, fieldViolations }: TellwireError): string {
  if (fieldViolations.length < 2) return message;
  const lines = fieldViolations.map(({ field, description }) => `  ${field} ${description}`);
  return [`the configuration has ${fieldViolations.length} errors:`, ...lines].join("\n");
}

/** Addresses that cannot be listened on or reached are named by who opens them, and so are files that a variable names. */
function systemFailureText({ syscall = "", message }: NodeJS.ErrnoException): string {
  if (!fileCalls.has(syscall)) return message;
  return `${message}: TELLWIRE_DATA_DIR has to be a folder that this user may write to`;
}

/** Those with which the data folder and what is in it is made, read and written. */
const fileCalls: ReadonlySet<string> = new Set(["open", "mkdir", "link", "rename", "unlink", "scandir"]);

/** What the system said, in the error itself, in its causes, or among the attempts that it stands for (one for each address of a name). */
function systemErrorIn(error: unknown): NodeJS.ErrnoException | undefined {
  if (!(error instanceof Error)) return undefined;
  if (typeof (error as NodeJS.ErrnoException).syscall === "string") return error;
  if (error instanceof AggregateError) {
    return error.errors.map(systemErrorIn).find((found) => found !== undefined);
  }
  return systemErrorIn(error.cause);
}

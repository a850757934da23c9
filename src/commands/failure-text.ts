import { TellwireError } from "../errors.ts";

/**
 * What to tell somebody whose command failed: a sentence for what they can mend (our own errors, and what the system refused), and the
 * stack for what is a bug.
 */
export function failureText(error: unknown): string {
  if (error instanceof TellwireError) return ownFailureText(error);
  const refused = systemErrorIn(error);
  if (refused !== undefined) return systemFailureText(refused);
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function ownFailureText({ message, fieldViolations }: TellwireError): string {
  if (fieldViolations.length < 2) return message;
  const lines = fieldViolations.map(({ field, description }) => `  ${field} ${description}`);
  return [`the configuration has ${fieldViolations.length} errors:`, ...lines].join("\n");
}

function systemFailureText(error: NodeJS.ErrnoException & { address?: string; port?: number }): string {
  const place = `${error.address ?? ""}:${error.port ?? ""}`;
  switch (error.code) {
    case "EADDRINUSE":
      return `${place} is in use: stop what listens there, or set TELLWIRE_HTTP_ADDR and TELLWIRE_GRPC_ADDR to other addresses`;
    case "EADDRNOTAVAIL":
    case "EACCES":
      if (error.syscall !== "listen") return error.message;
      return `cannot listen on ${place} (${error.code}): set TELLWIRE_HTTP_ADDR and TELLWIRE_GRPC_ADDR to addresses of this machine`;
    case "ECONNREFUSED":
      return `nothing answers on ${place}: check that the server runs, and TELLWIRE_DATABASE_URL and TELLWIRE_NATS_URL`;
    default:
      return error.message;
  }
}

/** What the system said, in the error itself, in its causes, or among the attempts that it stands for (one for each address of a name). */
function systemErrorIn(error: unknown): NodeJS.ErrnoException | undefined {
  if (!(error instanceof Error)) return undefined;
  if (typeof (error as NodeJS.ErrnoException).syscall === "string") return error;
  if (error instanceof AggregateError) {
    return error.errors.map(systemErrorIn).find((found) => found !== undefined);
  }
  return systemErrorIn(error.cause);
}

import { isDatabaseError, messageWithoutValues } from "../domain/message-without-values.ts";
import { TellwireError } from "../errors.ts";

/** An error as the log shows it. */
export interface LoggedError {
  /** The name of its class. */
  type: string;
  /** With those of its causes. */
  message: string;
  /** With those of its causes. */
  stack: string;
  /** What is known of it besides: SQLSTATE, `ECONNREFUSED`, a constraint, a reason of ours. */
  [fact: string]: unknown;
}

/**
 * Describes an error by what is known to be harmless. Errors of libraries carry what they were about: the statement with its parameters, the row that
 * was refused, a whole request. None of that is for a log.
 */
export function loggedError(error: unknown): unknown {
  if (!(error instanceof Error)) return messageWithoutValues(error);
  const described: LoggedError = {
    type: error.constructor.name,
    message: causesOf(error).map(messageWithoutValues).join(": "),
    stack: describeError(error),
    ...factsOf(error),
  };
  return error instanceof AggregateError
    ? { ...described, aggregateErrors: error.errors.slice(0, maxErrors).map(loggedError) }
    : described;
}

/** The same as text: with the stack, for a bug. */
export function describeError(error: unknown): string {
  return error instanceof Error ? causesOf(error).map(stackOf).join("\ncaused by: ") : messageWithoutValues(error);
}

const maxCauses = 8;
const maxErrors = 8;

/** The error, and what caused it. The ORM keeps the driver's error as `previous`. */
function causesOf(error: Error): Error[] {
  const chain: Error[] = [];
  for (let at: unknown = error; at instanceof Error && chain.length < maxCauses && !chain.includes(at); ) {
    chain.push(at);
    at = at.cause ?? (at as { previous?: unknown }).previous;
  }
  return chain;
}

/** The places alone are taken from the stack, whose first lines repeat the message as the library wrote it. */
function stackOf(error: Error): string {
  const places = (error.stack ?? "").split("\n").filter((line) => /^ +at /.test(line));
  return [`${error.name}: ${messageWithoutValues(error)}`, ...places].join("\n");
}

function factsOf(error: Error): Record<string, unknown> {
  const names = isDatabaseError(error) ? databaseFacts : systemFacts;
  const facts = Object.fromEntries(
    names.flatMap((name) => {
      const value: unknown = (error as unknown as Record<string, unknown>)[name];
      return typeof value === "string" || typeof value === "number" ? [[name, value]] : [];
    }),
  );
  return error instanceof TellwireError ? { ...facts, reason: error.reason } : facts;
}

/** Names of the schema, and of a place in the server's source. */
const databaseFacts = ["code", "severity", "schema", "table", "column", "constraint", "routine"];
/** Of errors of Node.js, and of Connect. */
const systemFacts = ["code", "errno", "syscall", "address", "port", "hostname"];

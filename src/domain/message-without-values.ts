/**
 * What an error says, without the values that it is about: those may be a customer's payload, or a secret. JSON.parse repeats what it could not read,
 * and a database the row that it refused.
 */
export function messageWithoutValues(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof SyntaxError) return withoutExcerpt(error.message);
  return isDatabaseError(error) ? databaseMessage(error) : error.message;
}

/** An error that a database server answered with: by node-postgres, by PGlite, or wrapped by the ORM, which keeps the fields. */
export interface DatabaseError extends Error {
  severity: string;
  /** SQLSTATE. */
  code: string;
}

export function isDatabaseError(error: Error): error is DatabaseError {
  const { severity, code } = error as Partial<DatabaseError>;
  return typeof severity === "string" && typeof code === "string";
}

/** V8: `Unexpected token 'x', ..."before x after"... is not valid JSON`. */
function withoutExcerpt(message: string): string {
  return message.replace(/, (\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, ": not valid JSON");
}

/** The ORM puts details on lines of their own. Class 22 is about data, and what stands in quotes behind a colon is that data. */
function databaseMessage({ message, code }: DatabaseError): string {
  const [line = ""] = message.split("\n");
  return code.startsWith("22") ? line.replace(/: ".*$/, "") : line;
}

/**
 * Whether an error says that the database could not be reached, or went away, rather than that it refused a statement: then a further try
 * makes sense. Looks through the causes, because the ORM wraps what the driver throws.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 10; at = causeOf(at), depth += 1) {
    const { code } = at as { code?: unknown };
    if (typeof code === "string" && (networkCodes.has(code) || /^(080|57P0|53)/.test(code))) return true;
    if (at instanceof AggregateError && at.errors.some(isDatabaseUnavailable)) return true;
    if (poolMessages.test(at.message)) return true;
  }
  return false;
}

/**
 * Whether the database refused a text that it cannot store, because of the character U+0000: SQLSTATE 22021 where the text is a parameter, and
 * 08P01 where the ORM wrote it into the statement, which U+0000 cuts short.
 */
export function isUnstorableText(error: unknown): boolean {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return code === "22021" || code === "08P01";
}

/** The ORM keeps the driver's error as `previous` where it does not use `cause`. */
function causeOf(error: Error): unknown {
  return error.cause ?? (error as { previous?: unknown }).previous;
}

const networkCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
]);

/** What node-postgres says without a code (pg 8). SQLSTATE classes: 080xx connection, 53 resources, 57P0x shutdown (Postgres, appendix A). */
const poolMessages =
  /^(Connection terminated|timeout expired|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after calling end)/;

/** Whether the database refused a statement for what is in it, so that trying it again changes nothing. */
export function isAboutContent(error: unknown): boolean {
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  // A row for which there is no partition yet is reported as a violated check that has no name: it can be written when there is one.
  if (code === checkViolation && constraint === undefined) {
    return false;
  }
  // SQLSTATE classes 22 (data exception) and 23 (integrity constraint): https://www.postgresql.org/docs/current/errcodes-appendix.html
  return typeof code === "string" && /^2[23]/.test(code);
}

const checkViolation = "23514";

/** Whether the database refused a statement for what is in it, so that trying it again changes nothing. */
export function isAboutContent(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  // SQLSTATE classes 22 (data exception) and 23 (integrity constraint): https://www.postgresql.org/docs/current/errcodes-appendix.html
  return typeof code === "string" && /^2[23]/.test(code);
}

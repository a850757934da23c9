import { type FieldViolation, invalidFields, TellwireError } from "../errors.ts";

/** Makes every check, and throws one INVALID_FIELDS that names all that they found. Any other error of a check ends them at once. */
export function checkAll(...checks: readonly (() => unknown)[]): void {
  const violations = checks.flatMap(violationsOf);
  if (violations.length > 0) throw invalidFields(...violations);
}

function violationsOf(check: () => unknown): readonly FieldViolation[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof TellwireError && error.reason === "INVALID_FIELDS") return error.fieldViolations;
    throw error;
  }
}

import { pathToString } from "@bufbuild/protobuf/reflect";
import type { Violation } from "@bufbuild/protovalidate";
import { type FieldViolation, invalidFields, type TellwireError } from "../errors.ts";

/** What the contract's rules found, with each field's path in proto names: `webhook.event_types[0]`. */
export function fieldViolations(violations: readonly Violation[]): FieldViolation[] {
  return violations.map(({ field, message }) => ({ field: pathToString(field), description: message }));
}

/** The same as an INVALID_FIELDS error. */
export function violationsError(violations: readonly Violation[]): TellwireError {
  return invalidFields(...fieldViolations(violations));
}

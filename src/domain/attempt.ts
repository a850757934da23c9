/** The kinds of failure of an attempt, as stored; the contract's names are these with `ATTEMPT_ERROR_` before them. */
export const ATTEMPT_ERRORS = [
  "DNS",
  "CONNECTION",
  "TLS",
  "TIMEOUT",
  "STATUS",
  "PROTOCOL",
  "ADDRESS_REFUSED",
  "SECRET_UNUSABLE",
  "INTERNAL",
] as const;

export type AttemptError = (typeof ATTEMPT_ERRORS)[number];

/** Why an attempt was made; see `AttemptTrigger` of the contract. */
export type AttemptTrigger = "SCHEDULE" | "MANUAL" | "TEST";

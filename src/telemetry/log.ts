import { type DestinationStream, type Logger, pino } from "pino";
import { loggedError } from "./logged-error.ts";
import { formatPrettyLine } from "./pretty-line.ts";

/** The log: `log.info({ webhookId }, "webhook verified")`. Facts are fields, the message is one sentence. */
export type Log = Logger;

export interface LogOptions {
  level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** `json`: one object a line. `pretty`: one readable line an entry. */
  format: "json" | "pretty";
  /** Where lines go, each with its line break. */
  output: DestinationStream;
}

/**
 * Makes the log. Fields that carry keys or secrets are written as `[redacted]`, up to two levels deep, and of errors (`err`) what is known to be
 * harmless. Times are ISO 8601 in UTC.
 */
export function createLog({ level, format, output }: LogOptions): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: loggedError },
    redact: { paths: redactedPaths, censor: "[redacted]" },
  };
  return pino(options, format === "json" ? output : prettyStream(output));
}

/** Never in the log, whatever its writer meant. Both spellings of contract fields: proto names and generated ones. */
const redactedNames = [
  "authorization",
  "Authorization",
  "x-api-key",
  "X-Api-Key",
  "secret",
  "signing_secret",
  "signingSecret",
  "key",
  "operatorKey",
  "secretsKeys",
  "databaseUrl",
  "password",
];

const redactedPaths = redactedNames.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`]);

function prettyStream(output: DestinationStream): DestinationStream {
  return {
    write(line) {
      output.write(`${formatPrettyLine(JSON.parse(line))}\n`);
    },
  };
}

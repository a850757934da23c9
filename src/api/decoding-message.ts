/**
 * What protobuf's JSON parser says of a message that it cannot read, without the value that it repeats: a payload or a secret in the wrong place
 * must not come back in an error. Every other text stays as it is.
 */
export function decodingMessage(message: string): string {
  const [, head, said = ""] = /^(cannot decode \w+ \S+ from JSON):?\s*(.*)$/s.exec(message) ?? [];
  if (head === undefined) return message;
  const expected = /^(expected .*?),? (?:but )?got /s.exec(said)?.[1];
  if (expected !== undefined) return `${head}: ${expected}`;
  // What JSON.parse says, but for the part of the body that V8 repeats.
  const syntax = /^(?:Unexpected|Expected|Bad|No|Unterminated|Exponent) .*$/s.exec(said)?.[0];
  if (syntax !== undefined) return `${head}: ${syntax.replace(/, (\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, "")}`;
  return harmless.test(said) ? `${head}: ${said.replace(longName, '"$1…"')}` : `${head}: the value does not fit`;
}

/** Names of fields, and limits. */
const harmless =
  /^(key "[^"]*" is unknown|duplicate object key "[^"]*"|maximum recursion depth of \d+ reached|invalid RFC 3339 string|must be from \S+ to \S+ inclusive)$/;

/** Whoever wrote a name of megabytes does not want it back, least of all in a header, which can hold no half of a character. */
const longName = /"([^"]{128})[^"]+"/u;

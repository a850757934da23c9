/**
 * Parses a path template of google.api.http:
 *
 *     Template  = "/" Segments [ ":" LITERAL ]
 *     Segments  = Segment { "/" Segment }
 *     Segment   = "*" | "**" | LITERAL | Variable
 *     Variable  = "{" FieldPath [ "=" Segments ] "}"
 *     FieldPath = IDENT { "." IDENT }
 *
 * A literal is made of the characters of an RFC 3986 path segment but for `*`, `=` and `:`, which are written percent-encoded.
 *
 * @throws {PathTemplateError} for anything else: a trailing slash, an empty segment, `***`, a `**` that is not last, a variable in a variable.
 */
export function parsePathTemplate(source: string): PathTemplate {
  const scan: Scan = { source, at: 0, segments: [], variables: [] };
  expect(scan, "/", "a template starts with /");
  parseSegments(scan, false);
  const verb = peek(scan) === ":" ? parseVerb(scan) : undefined;
  if (scan.at < source.length) fail(scan, `unexpected ${JSON.stringify(peek(scan))}`);
  const rest = scan.segments.findIndex((segment) => segment.kind === "rest");
  if (rest >= 0 && rest < scan.segments.length - 1) fail(scan, "** stands last, before the verb at most");
  return { source, segments: scan.segments, verb, variables: scan.variables };
}

/** A parsed template. `verb` is the part after the colon, decoded. */
export interface PathTemplate {
  readonly source: string;
  readonly segments: readonly TemplateSegment[];
  readonly verb: string | undefined;
  readonly variables: readonly TemplateVariable[];
}

/** `*` is `any`, `**` is `rest`; a literal's value is percent-decoded. */
export type TemplateSegment =
  | { readonly kind: "literal"; readonly value: string }
  | { readonly kind: "any" }
  | { readonly kind: "rest" };

/** A variable captures the segments from `start` up to, not including, `end`; where `endsWithRest`, everything from `start` on. */
export interface TemplateVariable {
  readonly fieldPath: string;
  readonly start: number;
  readonly end: number;
  readonly endsWithRest: boolean;
}

/** A template that does not follow the grammar. The message shows the template and the place. */
export class PathTemplateError extends Error {
  override readonly name = "PathTemplateError";
}

interface Scan {
  readonly source: string;
  at: number;
  readonly segments: TemplateSegment[];
  readonly variables: TemplateVariable[];
}

const identifier = /[A-Za-z_][A-Za-z0-9_]*/y;
const literal = /(?:[A-Za-z0-9\-._~!$&'()+,;@]|%[0-9A-Fa-f]{2})+/y;

function parseSegments(scan: Scan, inVariable: boolean): void {
  do {
    parseSegment(scan, inVariable);
  } while (take(scan, "/"));
}

function parseSegment(scan: Scan, inVariable: boolean): void {
  if (peek(scan) === "{") {
    if (inVariable) fail(scan, "a variable cannot contain a variable");
    parseVariable(scan);
  } else if (take(scan, "*")) {
    scan.segments.push({ kind: take(scan, "*") ? "rest" : "any" });
    if (peek(scan) === "*") fail(scan, "*** means nothing");
  } else {
    scan.segments.push({ kind: "literal", value: parseLiteral(scan, "a segment is empty") });
  }
}

function parseVariable(scan: Scan): void {
  expect(scan, "{", "a variable starts with {");
  const path = [parseIdentifier(scan)];
  while (take(scan, ".")) path.push(parseIdentifier(scan));
  const fieldPath = path.join(".");
  const start = scan.segments.length;
  if (take(scan, "=")) parseSegments(scan, true);
  else scan.segments.push({ kind: "any" });
  expect(scan, "}", `the variable ${fieldPath} is not closed by }`);
  if (scan.variables.some((variable) => variable.fieldPath === fieldPath)) {
    fail(scan, `the variable ${fieldPath} appears twice`);
  }
  const endsWithRest = scan.segments.at(-1)?.kind === "rest";
  scan.variables.push({ fieldPath, start, end: scan.segments.length, endsWithRest });
}

function parseVerb(scan: Scan): string {
  expect(scan, ":", "a verb starts with :");
  return parseLiteral(scan, "the verb is empty");
}

function parseIdentifier(scan: Scan): string {
  return matchHere(scan, identifier) ?? fail(scan, "a field name is expected");
}

function parseLiteral(scan: Scan, whenMissing: string): string {
  const from = scan.at;
  const text = matchHere(scan, literal);
  if (text === undefined) {
    const next = peek(scan);
    const isEmpty = next === undefined || next === "/" || next === ":" || next === "}";
    return fail(scan, isEmpty ? whenMissing : `unexpected ${JSON.stringify(next)}`);
  }
  try {
    return decodeURIComponent(text);
  } catch {
    scan.at = from;
    return fail(scan, "the percent-encoding is not UTF-8");
  }
}

function matchHere(scan: Scan, pattern: RegExp): string | undefined {
  pattern.lastIndex = scan.at;
  const text = pattern.exec(scan.source)?.[0];
  if (text !== undefined) scan.at += text.length;
  return text;
}

function peek(scan: Scan): string | undefined {
  return scan.source[scan.at];
}

function take(scan: Scan, char: string): boolean {
  if (peek(scan) !== char) return false;
  scan.at += 1;
  return true;
}

function expect(scan: Scan, char: string, otherwise: string): void {
  if (!take(scan, char)) fail(scan, otherwise);
}

function fail(scan: Scan, problem: string): never {
  throw new PathTemplateError(`path template ${JSON.stringify(scan.source)}: ${problem}, at character ${scan.at + 1}`);
}

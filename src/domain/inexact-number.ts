/**
 * The first number in a JSON text that a double cannot hold as it is written: whoever parses it goes on with another one. Undefined where there is
 * none. Looks at the text alone, in UTF-8; of what is no JSON it may say anything.
 */
export function findInexactNumber(json: Uint8Array): string | undefined {
  for (let at = 0; at < json.length; ) {
    const byte = json[at] ?? 0;
    if (byte === quote) {
      at = endOfString(json, at);
    } else if (byte === minus || isDigit(byte)) {
      const end = endOfNumber(json, at);
      if (!isShortAndPlain(json, at, end)) {
        const text = Buffer.from(json.buffer, json.byteOffset + at, end - at).toString("latin1");
        if (!isExact(text)) return text;
      }
      at = end;
    } else {
      at += 1;
    }
  }
  return undefined;
}

/** What to do about such a number, for whoever sent it; undefined where there is none. */
export function inexactNumberProblem(json: Uint8Array): string | undefined {
  const found = findInexactNumber(json);
  if (found === undefined) return undefined;
  const shown = found.length > 60 ? `${found.slice(0, 60)}…` : found;
  return `the number ${shown} is beyond what JSON readers keep: send it as a string, or an event's data as data_json`;
}

const quote = 0x22;
const backslash = 0x5c;
const minus = 0x2d;

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** From the opening quote to behind the closing one. */
function endOfString(json: Uint8Array, from: number): number {
  let at = from + 1;
  while (at < json.length && json[at] !== quote) at += json[at] === backslash ? 2 : 1;
  return at + 1;
}

function endOfNumber(json: Uint8Array, from: number): number {
  let at = from + 1;
  while (at < json.length && isPartOfNumber(json[at] ?? 0)) at += 1;
  return at;
}

/** Digits, `+`, `-`, `.`, `e` and `E`. */
function isPartOfNumber(byte: number): boolean {
  return isDigit(byte) || byte === minus || byte === 0x2b || byte === 0x2e || (byte | 0x20) === 0x65;
}

/** Every decimal of up to 15 digits stands for itself in a double: nearly all numbers are such, and no text has to be made of them. */
function isShortAndPlain(json: Uint8Array, from: number, end: number): boolean {
  if (end - from > 15) return false;
  for (let at = from; at < end; at += 1) if (((json[at] ?? 0) | 0x20) === 0x65) return false;
  return true;
}

/** The shortest text of the double has to be the same number. */
function isExact(text: string): boolean {
  const value = Number(text);
  return Number.isFinite(value) && decimalOf(text) === decimalOf(String(value));
}

/** The digits of a number without zeros around them, and the power of ten of the last one: the same text for the same number. */
function decimalOf(text: string): string {
  const [, whole = "", fraction = "", exponent = "0"] = /^-?(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const significant = withoutZerosAtEnd(digits);
  if (significant === "") return "0";
  return `${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}

/** Not with /0+$/, which looks at each run of zeros again from each of its zeros: a number of a megabyte would take hours. */
function withoutZerosAtEnd(digits: string): string {
  let end = digits.length;
  while (end > 0 && digits[end - 1] === "0") end -= 1;
  return digits.slice(0, end);
}

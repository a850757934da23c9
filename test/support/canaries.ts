/** A canary that was found where it must not be. */
export interface Finding {
  canary: string;
  /** How it was written: `plain`, `base64`, … */
  form: string;
  /** Where, and what stands around it. */
  place: string;
  around: string;
}

/** Values that must not leave, and the search for them. */
export interface Canaries {
  /** A value that has to stay inside: a text of at least ten characters, or bytes. The same value counts once. */
  add(name: string, value: string | Uint8Array): void;
  /** Where in a text any part of a value stands, in any form; one finding for each value and form. */
  find(place: string, text: string): Finding[];
  /** How many values there are. */
  size(): number;
}

/**
 * Looks for values as they are, in base64 and base64url at every alignment, in hexadecimal, percent-encoded, as JSON writes them, and as lists
 * of bytes. A part of ten characters is enough, of hexadecimal digits and numbers more, so that what is cut is found too.
 */
export function createCanaries(): Canaries {
  const names = new Map<string, string>();
  /** By length: whose each part is, and in which form. */
  const parts = new Map<number, Map<string, Part>>();

  return {
    add(name, value) {
      const bytes = Buffer.from(value);
      const key = bytes.toString("hex");
      if (names.has(key)) return;
      if (bytes.length < 10) throw new Error(`the canary ${name} is too short to be told from other text`);
      names.set(key, name);
      for (const { form, text, partLength } of formsOf(value, bytes)) {
        const length = Math.min(partLength, text.length);
        const known = parts.get(length) ?? new Map<string, Part>();
        parts.set(length, known);
        for (let at = 0; at + length <= text.length; at += 1) {
          known.set(text.slice(at, at + length), { canary: name, form });
        }
      }
    },
    find(place, text) {
      const findings = new Map<string, Finding>();
      for (const [length, known] of parts) {
        for (let at = 0; at + length <= text.length; at += 1) {
          const found = known.get(text.slice(at, at + length));
          if (found === undefined) continue;
          const around = text.slice(Math.max(0, at - 80), at + 80);
          const key = `${found.canary} ${found.form}`;
          if (!findings.has(key)) findings.set(key, { ...found, place, around });
        }
      }
      return [...findings.values()];
    },
    size: () => names.size,
  };
}

interface Part {
  canary: string;
  form: string;
}

interface Form {
  form: string;
  text: string;
  /** How much of it is enough. */
  partLength: number;
}

function formsOf(value: string | Uint8Array, bytes: Buffer): Form[] {
  const hex = bytes.toString("hex");
  const forms: Form[] = [
    { form: "a list of bytes", text: bytes.join(","), partLength: 24 },
    { form: "percent-encoded", text: hex.replace(/../g, "%$&"), partLength: 24 },
    { form: "percent-encoded", text: hex.toUpperCase().replace(/../g, "%$&"), partLength: 24 },
    { form: "hexadecimal", text: hex.toUpperCase(), partLength: 16 },
    { form: "hexadecimal", text: hex, partLength: 16 },
    ...[0, 1, 2].flatMap((alignment) => base64Forms(bytes, alignment)),
  ];
  return typeof value === "string" ? [...forms, ...textForms(value, bytes)] : forms;
}

/** The characters at both ends hold bits of what stands around, and are left out. */
function base64Forms(bytes: Buffer, alignment: number): Form[] {
  const padded = Buffer.concat([Buffer.alloc(alignment), bytes])
    .toString("base64")
    .replace(/=+$/, "");
  const text = padded.slice(alignment === 0 ? 0 : alignment + 1, -1);
  const url = text.replaceAll("+", "-").replaceAll("/", "_");
  return [
    { form: "base64url", text: url, partLength: 10 },
    { form: "base64", text, partLength: 10 },
  ];
}

/** The last ones name what several forms have in common. */
function textForms(value: string, bytes: Buffer): Form[] {
  const json = JSON.stringify(value).slice(1, -1);
  const ascii = json.replace(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const texts = {
    "Latin-1": bytes.toString("latin1"),
    "percent-encoded": encodeURIComponent(value),
    "JSON in JSON": JSON.stringify(json).slice(1, -1),
    "JSON in ASCII": ascii,
    JSON: json,
    plain: value,
  };
  return Object.entries(texts).map(([form, text]) => ({ form, text, partLength: 10 }));
}

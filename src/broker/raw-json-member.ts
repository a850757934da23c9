/**
 * The text of a member's value in a JSON object, as it stands there: numbers keep their digits, objects their order and spaces. Undefined where
 * the object has no such member; the last one where it has several, as JSON.parse takes it. The text has to be valid JSON, an object.
 */
export function rawJsonMember(json: string, name: string): string | undefined {
  let raw: string | undefined;
  let position = skipSpace(json, skipSpace(json, 0) + 1);
  while (json[position] !== "}") {
    const endOfName = endOfString(json, position);
    const isWanted = JSON.parse(json.slice(position, endOfName)) === name;
    const colon = skipSpace(json, endOfName);
    const start = skipSpace(json, colon + 1);
    const end = endOfValue(json, start);
    if (isWanted) {
      raw = json.slice(start, end);
    }
    position = skipSpace(json, end);
    if (json[position] === ",") {
      position = skipSpace(json, position + 1);
    }
  }
  return raw;
}

function skipSpace(json: string, from: number): number {
  let position = from;
  while (" \t\r\n".includes(json[position] ?? "end")) {
    position++;
  }
  return position;
}

/** From the opening quote to behind the closing one. */
function endOfString(json: string, from: number): number {
  let position = from + 1;
  while (json[position] !== '"') {
    position += json[position] === "\\" ? 2 : 1;
  }
  return position + 1;
}

function endOfValue(json: string, from: number): number {
  switch (json[from]) {
    case '"':
      return endOfString(json, from);
    case "{":
    case "[":
      return endOfNested(json, from);
    default:
      return endOfWord(json, from);
  }
}

function endOfNested(json: string, from: number): number {
  let depth = 0;
  let position = from;
  do {
    switch (json[position]) {
      case '"':
        position = endOfString(json, position);
        continue;
      case "{":
      case "[":
        depth++;
        break;
      case "}":
      case "]":
        depth--;
        break;
    }
    position++;
  } while (depth > 0);
  return position;
}

/** A number, true, false or null. */
function endOfWord(json: string, from: number): number {
  let position = from;
  while (!",}] \t\r\n".includes(json[position] ?? ",")) {
    position++;
  }
  return position;
}

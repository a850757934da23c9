/** How deep the arrays and objects of an event's data may stand in each other. Parsers that receivers use stop at 64 (.NET) and beyond. */
export const maxJsonDepth = 64;

/** Whether arrays and objects stand in each other more than `depth` deep. The text has to be valid JSON. */
export function isNestedDeeper(json: string, depth: number): boolean {
  // As a rule there are fewer brackets in all, also in texts: finding those is far cheaper than looking at each character.
  if (upTo(depth + 1, "{", json) + upTo(depth + 1, "[", json) <= depth) return false;
  let level = 0;
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case 0x22:
        at = endOfString(json, at);
        break;
      case 0x5b:
      case 0x7b:
        level += 1;
        if (level > depth) return true;
        break;
      case 0x5d:
      case 0x7d:
        level -= 1;
        break;
    }
  }
  return false;
}

/** The place of the closing quote. */
function endOfString(json: string, from: number): number {
  let at = from + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at;
}

/** How often the character stands in the text, counted up to that number. */
function upTo(most: number, character: string, text: string): number {
  let count = 0;
  for (let at = text.indexOf(character); at !== -1 && count < most; at = text.indexOf(character, at + 1)) count += 1;
  return count;
}

/** The name that is written most like `text`: the one with the smallest Levenshtein distance, the first of equals. */
export function nearestName(text: string, names: readonly string[]): string {
  const distances = names.map((name) => distance(text, name));
  return names[distances.indexOf(Math.min(...distances))] ?? text;
}

/** How many letters must be put in, taken out or replaced to make `b` of `a`. One row of the matrix at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1];
    for (const [column, other] of [...b].entries()) {
      const replaced = (row[column] ?? 0) + (letter === other ? 0 : 1);
      const removed = (row[column + 1] ?? 0) + 1;
      const inserted = (next[column] ?? 0) + 1;
      next.push(Math.min(replaced, removed, inserted));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/**
 * What a log says that must not be said while clients do what they like: any entry of the levels error and fatal, and any line that is no entry,
 * which is how Node tells of an exception or a rejection that nobody has handled before it ends the process.
 */
export function logFindings(output: string): string[] {
  return output
    .split("\n")
    .filter((line) => line.trim() !== "")
    .flatMap((line) => {
      const entry = parsed(line);
      if (entry === undefined) return [`not a line of the log: ${line.slice(0, 500)}`];
      return entry.level === "error" || entry.level === "fatal" ? [`logged: ${line.slice(0, 1_500)}`] : [];
    });
}

function parsed(line: string): { level?: string } | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === "object" && entry !== null ? entry : undefined;
  } catch {
    return undefined;
  }
}

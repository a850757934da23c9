/**
 * A log entry as a line for people: `12:04:31.118 info  webhook verified  webhookId=wh_…`. A stack follows on lines of its own.
 * The entry is one that createLog writes: time, level, msg and further fields.
 */
export function formatPrettyLine(entry: Readonly<Record<string, unknown>>): string {
  const { time, level, msg, err, ...fields } = entry;
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${formatValue(value)}`);
  const head = `${formatTime(time)} ${String(level).padEnd(5)} ${oneLine(String(msg ?? ""))}`;
  return [[head, ...pairs].join("  "), ...errorLines(err)].join("\n");
}

function formatTime(time: unknown): string {
  return String(time).slice(11, 23);
}

function formatValue(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value);
  return /^[^\s"=\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value);
}

/** What came from outside must not start a line of its own, nor reach the terminal as a control sequence. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
}

function errorLines(error: unknown): string[] {
  if (typeof error !== "object" || error === null) return [];
  const { stack, message } = error as { stack?: unknown; message?: unknown };
  const lines = String(stack ?? message ?? "").split("\n");
  return lines.map((line) => `    ${oneLine(line)}`);
}

/**
 * Reads a Retry-After header: a number of seconds or a date (RFC 9110, 10.2.3). Answers with milliseconds from `nowMs`, 0 for a date in
 * the past, and undefined for what is neither. Unbounded: the retry schedule caps it.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  const text = value?.trim();
  if (!text) return undefined;
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, Number.MAX_SAFE_INTEGER);
  const timeMs = parseHttpDate(text);
  return timeMs === undefined ? undefined : Math.max(0, timeMs - nowMs);
}

/** The three forms of RFC 9110, 5.6.7; all of them are in GMT, the last one without saying so. */
const HTTP_DATES = [
  /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/,
];

function parseHttpDate(text: string): number | undefined {
  if (!HTTP_DATES.some((form) => form.test(text))) return undefined;
  const timeMs = Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

/** What `toISOString` writes (ISO 8601, in UTC), for times of which many fall into the same second: such a one costs a tenth of it. */
export function isoTime(time: Date): string {
  const second = Math.floor(time.getTime() / 1000);
  if (second !== latest.second) {
    latest = { second, text: new Date(second * 1000).toISOString().slice(0, -"000Z".length) };
  }
  const milliseconds = time.getTime() - second * 1000;
  return `${latest.text}${String(milliseconds).padStart(3, "0")}Z`;
}

/** The second of the last call, as far as the point. */
let latest = { second: Number.NaN, text: "" };

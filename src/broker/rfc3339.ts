/**
 * The time of a timestamp of RFC 3339, section 5.6, such as `2026-05-01T12:00:00.25Z`, to the millisecond; undefined where the text is none.
 * A leap second counts as the second after it. The years are 1 to 9999 in UTC too: an offset may lead out of what the store can keep.
 */
export function parseRfc3339(text: string): Date | undefined {
  const match = pattern.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.map(Number);
  if (year === 0 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) {
    return undefined;
  }
  const offset = offsetMinutes(match[8] ?? "Z");
  if (hour > 23 || minute > 59 || second > 60 || offset === undefined) {
    return undefined;
  }
  const milliseconds = Number((match[7] ?? "").slice(1, 4).padEnd(3, "0"));
  const time = new Date(0);
  time.setUTCFullYear(year, month - 1, day);
  time.setUTCHours(hour, minute - offset, second, milliseconds);
  return time.getUTCFullYear() >= 1 && time.getUTCFullYear() <= 9999 ? time : undefined;
}

const pattern = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})$/i;

function daysOf(year: number, month: number): number {
  const end = new Date(0);
  end.setUTCFullYear(year, month, 0);
  return end.getUTCDate();
}

function offsetMinutes(text: string): number | undefined {
  if (text === "Z" || text === "z") {
    return 0;
  }
  const hours = Number(text.slice(1, 3));
  const minutes = Number(text.slice(4, 6));
  if (hours > 23 || minutes > 59) {
    return undefined;
  }
  return (text.startsWith("-") ? -1 : 1) * (hours * 60 + minutes);
}

import { z } from "zod";
import type { CallRate } from "../domain/call-rate.ts";
import type { RateLimit } from "../domain/rate-limit.ts";

/** `100/s`, `6000/m` or `off`, which is null; with `,burst=200` so many come at once, else as many as come in the period. */
export const callRate = z.string().transform((text, context): CallRate | null => {
  if (text === "off") return null;
  const [, rate = "", burst] = /^([^,]*)(?:,burst=(\d{1,9}))?$/.exec(text) ?? [];
  const parsed = parseRate(rate);
  if (parsed !== undefined && (burst === undefined || Number(burst) >= 1)) {
    return { ...parsed, burst: Number(burst ?? parsed.count) };
  }
  context.addIssue({
    code: "custom",
    message: `must be a rate such as 100/s, 6000/m or 100/s,burst=200, or off; it is ${JSON.stringify(text)}`,
  });
  return z.NEVER;
});

/** `100/s`, `6000/m` or `off`, which is null. */
export const eventRate = z.string().transform((text, context): RateLimit | null => {
  if (text === "off") return null;
  const parsed = parseRate(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({
    code: "custom",
    message: `must be a rate such as 100/s or 6000/m, or off; it is ${JSON.stringify(text)}`,
  });
  return z.NEVER;
});

/** A whole number from 0, or `off`, which is null. */
export const quota = z.string().transform((text, context): number | null => {
  if (text === "off") return null;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  context.addIssue({
    code: "custom",
    message: `must be a whole number of at most 15 digits, or off; it is ${JSON.stringify(text)}`,
  });
  return z.NEVER;
});

/** A rate as one writes it. */
export function rateText(rate: (RateLimit & { burst?: number }) | null): string {
  if (rate === null) return "off";
  const unit = Object.entries(periodsMs).find(([, ms]) => ms === rate.periodMs)?.[0] ?? `${rate.periodMs}ms`;
  const burst = rate.burst === undefined || rate.burst === rate.count ? "" : `,burst=${rate.burst}`;
  return `${rate.count}/${unit}${burst}`;
}

const periodsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

function parseRate(text: string): RateLimit | undefined {
  const [, count, unit = ""] = /^(\d{1,9})\/([smh])$/.exec(text) ?? [];
  const periodMs = periodsMs[unit];
  return count === undefined || Number(count) < 1 || periodMs === undefined
    ? undefined
    : { count: Number(count), periodMs };
}

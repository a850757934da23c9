import { nowMicros } from "../stage/clock.ts";

/** How large the events' data is, in bytes of JSON. */
export const eventDataBytes = 512;

/** The data of an event that is published now: its time first, where the receiver looks for it, then a number and padding. */
export function eventData(number: number): string {
  const start = `{"at":${nowMicros()},"number":${number},"text":"`;
  return `${start}${padding.slice(0, eventDataBytes - start.length - 2)}"}`;
}

const padding = "An order of three things, of which two are in stock. ".repeat(20);

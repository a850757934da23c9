import { hash } from "node:crypto";
import { TellwireError } from "../errors.ts";

/** Where a page ends: the last row's id, and its time where the list is ordered by time. */
export interface Cursor {
  id: string;
  /** Microseconds since the epoch, as exact as the database has them. */
  micros?: number;
}

/**
 * Writes a page token (AIP-158): opaque to callers, and good only for a list with the same filters. `filters` is anything that JSON can
 * write; undefined members do not count.
 */
export function encodePageToken(filters: unknown, { id, micros }: Cursor): string {
  return Buffer.from(JSON.stringify([fingerprint(filters), id, micros ?? null])).toString("base64url");
}

/** Reads a page token. Empty: undefined, the first page. Throws INVALID_PAGE_TOKEN for what encodePageToken did not write for these filters. */
export function decodePageToken(filters: unknown, token: string): Cursor | undefined {
  if (token === "") return undefined;
  const parts = parse(token);
  if (!Array.isArray(parts)) throw invalid("it is not one that this list answered with");
  const [scope, id, micros] = parts as unknown[];
  if (typeof id !== "string" || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) {
    throw invalid("it is not one that this list answered with");
  }
  if (scope !== fingerprint(filters)) throw invalid("it belongs to a list with other filters");
  if (micros === null) return { id };
  if (!Number.isSafeInteger(micros)) throw invalid("it is not one that this list answered with");
  return { id, micros: micros as number };
}

function fingerprint(filters: unknown): string {
  return hash("sha256", JSON.stringify(filters) ?? "", "base64url").slice(0, 11);
}

function parse(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}

function invalid(why: string): TellwireError {
  const description = `${why}: send the next_page_token of the answer before, with the same filters, or leave it out`;
  return new TellwireError("INVALID_PAGE_TOKEN", `page_token: ${description}`, {
    fieldViolations: [{ field: "page_token", description }],
  });
}

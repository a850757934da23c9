import type { SqlEntityManager } from "@mikro-orm/sql";
import { decodePageToken, encodePageToken } from "./page-token.ts";

/** One page of a list, newest first. */
export interface Page<Item> {
  items: Item[];
  /** Empty on the last page. */
  nextPageToken: string;
}

/** Which page is wanted. */
export interface PageRequest {
  /** 0: 50. At most 200. */
  pageSize: number;
  /** Empty: the first one. */
  pageToken: string;
}

/** A condition of a where clause with its parameters (`?`). */
export type Condition = readonly [text: string, ...parameters: unknown[]];

/** The rows to return: the page size, where the caller leaves it open or asks for more than there is in one page. */
export function pageSizeOf({ pageSize }: PageRequest): number {
  return pageSize <= 0 ? 50 : Math.min(pageSize, 200);
}

/**
 * Cuts a page out of rows that were asked for one beyond its size: that one tells whether there is a next page. For lists ordered by id,
 * whose ids (UUIDv7) are in the order of creation.
 */
export function pageById<Row extends { id: string }, Item>(
  rows: readonly Row[],
  { request, filters, toItem }: { request: PageRequest; filters: unknown; toItem: (row: Row) => Item },
): Page<Item> {
  const size = pageSizeOf(request);
  const last = rows.length > size ? rows[size - 1] : undefined;
  return {
    items: rows.slice(0, size).map(toItem),
    nextPageToken: last === undefined ? "" : encodePageToken(filters, { id: last.id }),
  };
}

/**
 * Reads a page of a table ordered by time and id, newest first. The token holds the time in microseconds, as the database does: a Date is
 * too coarse to continue from without losing or repeating rows.
 */
export async function pageByTime<Item>(em: SqlEntityManager, options: PageByTimeOptions<Item>): Promise<Page<Item>> {
  const { filters, request, toItem } = options;
  const size = pageSizeOf(request);
  const rows = await em.execute<TimedRow[]>(...timePageStatement(options));
  const last = rows.length > size ? rows[size - 1] : undefined;
  return {
    items: rows.slice(0, size).map(({ page_micros: _, ...row }) => toItem(row)),
    nextPageToken:
      last === undefined ? "" : encodePageToken(filters, { id: last.id, micros: Number(last.page_micros) }),
  };
}

/** The statement behind a page, one row longer than the page, with its parameters. */
export function timePageStatement({
  table,
  timeColumn,
  conditions,
  filters,
  request,
}: Omit<PageByTimeOptions<unknown>, "toItem">): [text: string, parameters: unknown[]] {
  const after = decodePageToken(filters, request.pageToken);
  const all: Condition[] = [...conditions];
  if (after !== undefined) {
    const time = "timestamptz 'epoch' + ?::bigint * interval '1 microsecond'";
    // The first condition follows from the second, and keeps the database from looking into newer partitions.
    all.push([`${timeColumn} <= ${time}`, after.micros ?? 0]);
    all.push([`(${timeColumn}, id) < (${time}, ?)`, after.micros ?? 0, after.id]);
  }
  const where = all.length === 0 ? "" : `where ${all.map(([text]) => text).join(" and ")}`;
  return [
    `select *, (extract(epoch from ${timeColumn}) * 1000000)::bigint as page_micros from ${table} ${where}
     order by ${timeColumn} desc, id desc limit ?`,
    [...all.flatMap(([, ...parameters]) => parameters), pageSizeOf(request) + 1],
  ];
}

export interface PageByTimeOptions<Item> {
  table: string;
  timeColumn: string;
  conditions: readonly Condition[];
  /** What the page token is bound to. */
  filters: unknown;
  request: PageRequest;
  /** From a row as the database has it. */
  toItem: (row: Record<string, unknown>) => Item;
}

interface TimedRow extends Record<string, unknown> {
  id: string;
  page_micros: string | number;
}

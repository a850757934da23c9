import type { DeliveryStatus } from "../../domain/delivery.ts";
import { firstIdAt } from "../../domain/ids.ts";
import type { Sql, Statement } from "../sql.ts";
import {
  type DeliveryRow,
  finishedColumns,
  type StoredDelivery,
  scheduledColumns,
  storedDelivery,
} from "./stored-deliveries.ts";

/** Which deliveries a page is cut from. */
export interface DeliveryPageFilters {
  /** Undefined: of any organization. */
  organizationId: string | undefined;
  webhookId: string | undefined;
  /** Of these webhooks alone; undefined: of any. */
  webhookIds: readonly string[] | undefined;
  /** Empty: all. */
  eventType: string;
  /** The deliveries of these events alone, each in its range of ids. Undefined: of any event. */
  events: readonly EventDeliveries[] | undefined;
  /** Empty: all. */
  statuses: readonly DeliveryStatus[];
  /** At this time or later. */
  createdAfter: Date | undefined;
  /** Before this time. */
  createdBefore: Date | undefined;
}

/** Where the deliveries of one event stand (`deliveryIdRange`). */
export interface EventDeliveries {
  eventId: string;
  first: string;
  last: string;
}

export interface DeliveryPagePlace {
  /** Only deliveries with an id before this one; undefined: from the newest. */
  before: string | undefined;
  limit: number;
}

/** The deliveries of both tables, newest first. */
export async function readDeliveryPage(
  sql: Sql,
  filters: DeliveryPageFilters,
  place: DeliveryPagePlace,
): Promise<StoredDelivery[]> {
  const page = deliveryPageStatement(filters, place);
  if (page === undefined) return [];
  return (await sql.query<DeliveryRow>(page.statement, page.parameters)).map(storedDelivery);
}

/**
 * The statement behind a page; undefined where there can be no row. It reads both tables at one time, so that a delivery which moves from one to
 * the other is on the page once. Cost: `limit` entries of one index for each table (delivery_webhook, delivery_organization, their
 * counterparts for what is not delivered, or the primary key), from the newest partition on and no further than needed. Filters by event
 * type, by several webhooks, and by DELIVERED alone, are applied to the entries that are read.
 */
export function deliveryPageStatement(
  filters: DeliveryPageFilters,
  { before, limit }: DeliveryPagePlace,
): { statement: Statement; parameters: unknown[] } | undefined {
  const parameters: unknown[] = [];
  const parameter = (value: unknown): string => `$${parameters.push(value)}`;
  const rows = `order by id desc limit ${parameter(limit)}::bigint`;
  const selects = (filters.events ?? [undefined]).flatMap((event) =>
    tablesOf(filters.statuses).map(({ table, columns, conditions }) => {
      const all = [...conditions(parameter), ...commonConditions({ filters, event, before }, parameter)];
      return `(select ${columns} from ${table} ${all.length > 0 ? `where ${all.join(" and ")}` : ""} ${rows})`;
    }),
  );
  if (selects.length === 0) return undefined;
  const text = `select * from (${selects.join(" union all ")}) page ${rows}`;
  return { statement: { name: "", text }, parameters };
}

/** Writes a value down as a parameter, and returns its place in the statement. */
type Parameter = (value: unknown) => string;

interface DeliveryTable {
  table: string;
  columns: string;
  conditions: (parameter: Parameter) => string[];
}

/** Only the tables that can hold deliveries with these statuses. */
function tablesOf(statuses: readonly DeliveryStatus[]): DeliveryTable[] {
  const finished = statuses.filter((status) => status !== "SCHEDULED");
  const tables: DeliveryTable[] = [];
  if (statuses.length === 0 || statuses.includes("SCHEDULED")) {
    tables.push({ table: "scheduled_delivery", columns: scheduledColumns, conditions: () => [] });
  }
  if (statuses.length === 0 || finished.length > 0) {
    tables.push({
      table: "delivery",
      columns: finishedColumns,
      conditions: (parameter) => statusConditions(finished, parameter),
    });
  }
  return tables;
}

/** What is not delivered is rare, and has small indexes of its own: the first condition is theirs. */
function statusConditions(finished: readonly DeliveryStatus[], parameter: Parameter): string[] {
  if (finished.length === 0) return [];
  const isOne = `status = any(${parameter(finished)}::text[])`;
  return finished.includes("DELIVERED") ? [isOne] : ["status <> 'DELIVERED'", isOne];
}

interface CommonConditions {
  filters: DeliveryPageFilters;
  event: EventDeliveries | undefined;
  before: string | undefined;
}

function commonConditions({ filters, event, before }: CommonConditions, parameter: Parameter): string[] {
  const { organizationId, webhookId, webhookIds, eventType, createdAfter, createdBefore } = filters;
  const conditions: string[] = [];
  if (webhookId !== undefined) conditions.push(`webhook_id = ${parameter(webhookId)}::uuid`);
  if (organizationId !== undefined) {
    // With a webhook, which is of one organization, this is a check of access alone: written so that it does not call for its own index,
    // by which one webhook among many would be looked for in everything that the organization sent.
    const operator = webhookId === undefined ? "=" : "is not distinct from";
    conditions.push(`organization_id ${operator} ${parameter(organizationId)}::uuid`);
  }
  if (webhookIds !== undefined) conditions.push(`webhook_id = any(${parameter(webhookIds)}::uuid[])`);
  if (event !== undefined) {
    conditions.push(`event_id = ${parameter(event.eventId)}::uuid`);
    conditions.push(`id between ${parameter(event.first)}::uuid and ${parameter(event.last)}::uuid`);
  }
  if (eventType !== "") conditions.push(`event_type = ${parameter(eventType)}::text`);
  if (createdAfter !== undefined) conditions.push(`id >= ${parameter(idBound(createdAfter))}::uuid`);
  if (createdBefore !== undefined) conditions.push(`id < ${parameter(idBound(createdBefore))}::uuid`);
  if (before !== undefined) conditions.push(`id < ${parameter(before)}::uuid`);
  return conditions;
}

/** Ids begin with the time of creation, so a time is a bound of ids, and partitions on its other side are not read. */
function idBound(time: Date): string {
  return firstIdAt(Math.max(0, time.getTime()));
}

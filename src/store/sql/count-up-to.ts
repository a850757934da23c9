import type { Sql } from "../sql.ts";

/** What is counted of an organization. */
export type CountedRows = "webhooks" | "api-keys";

/**
 * Holds up everybody else who locks the same organization, until the end of the transaction. References to it, as those of a webhook that is
 * inserted, are not held up.
 */
export async function lockOrganization(transaction: Sql, organizationId: string): Promise<void> {
  await transaction.query(lock, [organizationId]);
}

/** How many there are: all webhooks; keys that are not revoked and not expired. Counts no further than the limit. */
export async function countUpTo(
  sql: Sql,
  { organizationId, what, limit }: { organizationId: string; what: CountedRows; limit: number },
): Promise<number> {
  const [row] = await sql.query<{ count: number }>(counts[what], [organizationId, limit]);
  return row?.count ?? 0;
}

const lock = {
  name: "lock-organization",
  text: "select 1 from organization where id = $1::uuid for no key update",
};

const counts = {
  // Index: webhook_organization.
  webhooks: {
    name: "count-webhooks",
    text: `
      select count(*)::integer as count
      from (select 1 from webhook where organization_id = $1::uuid limit $2::bigint) as counted`,
  },
  // Index: api_key_organization.
  "api-keys": {
    name: "count-api-keys",
    text: `
      select count(*)::integer as count
      from (select 1 from api_key where organization_id = $1::uuid and revoked_at is null and (expires_at is null or expires_at > now())
            limit $2::bigint) as counted`,
  },
} as const;

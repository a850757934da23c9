import type { Sql } from "../sql.ts";

/** When a key was last used, in milliseconds since the epoch. */
export interface KeyUse {
  keyId: string;
  usedAt: number;
}

/** Keeps when keys were last used; a time less than a minute after the one that is kept changes nothing. */
export async function writeKeyUsage(sql: Sql, uses: readonly KeyUse[]): Promise<void> {
  await sql.query(update, [uses.map(({ keyId }) => keyId), uses.map(({ usedAt }) => new Date(usedAt).toISOString())]);
}

// Index: the primary key. No index holds the time, so the rows stay on their pages (HOT). The rows are locked in the order of their ids, so
// that two processes never wait for each other in a ring; one that somebody else is just writing is left to the next time.
const update = {
  name: "write-key-usage",
  text: `
    with used as (
      select api_key.id, new.used_at
      from unnest($1::uuid[], $2::timestamptz[]) as new (id, used_at)
      join api_key on api_key.id = new.id
      where api_key.last_used_at is null or api_key.last_used_at <= new.used_at - interval '1 minute'
      order by api_key.id
      for no key update of api_key skip locked
    )
    update api_key set last_used_at = used.used_at from used where api_key.id = used.id`,
};

import type { Sql, Statement } from "../sql.ts";

/** Which key: callers with another scope have keys of their own. */
export interface KeyName {
  scope: string;
  key: string;
}

/** A key that somebody has used. */
export interface UsedKey {
  /** Sealed. */
  fingerprint: Uint8Array;
  /** Sealed; null while the work is under way. */
  answer: Uint8Array | null;
}

/**
 * Takes a key for whoever first asks: true for one caller, until it releases the key, or its lease or the key itself expires. Times in
 * milliseconds since the epoch.
 */
export async function claimKey(
  sql: Sql,
  { scope, key }: KeyName,
  claim: { owner: string; fingerprint: Uint8Array; now: number; leaseExpiresAt: number; expiresAt: number },
): Promise<boolean> {
  const { owner, fingerprint, now, leaseExpiresAt, expiresAt } = claim;
  const rows = await sql.query(claimStatement, [scope, key, owner, fingerprint, now, leaseExpiresAt, expiresAt]);
  return rows.length === 1;
}

/** Undefined where nobody has used the key, or it was released. */
export async function readKey(sql: Sql, { scope, key }: KeyName): Promise<UsedKey | undefined> {
  const [row] = await sql.query<UsedKey>(readStatement, [scope, key]);
  return row;
}

/** Keeps the answer under the key, where the owner still has it. */
export async function keepAnswer(
  sql: Sql,
  { scope, key }: KeyName,
  { owner, answer, expiresAt }: { owner: string; answer: Uint8Array; expiresAt: number },
): Promise<void> {
  await sql.query(keepStatement, [scope, key, owner, answer, expiresAt]);
}

/** Holds the key for another while, where the owner still has it. */
export async function renewKey(
  sql: Sql,
  { scope, key }: KeyName,
  { owner, leaseExpiresAt }: { owner: string; leaseExpiresAt: number },
): Promise<void> {
  await sql.query(renewStatement, [scope, key, owner, leaseExpiresAt]);
}

/** Gives the key back unused, where the owner still has it: the next caller with it is the first again. */
export async function releaseKey(sql: Sql, { scope, key }: KeyName, owner: string): Promise<void> {
  await sql.query(releaseStatement, [scope, key, owner]);
}

/** Removes up to `limit` keys that have expired. Returns how many those were. */
export async function removeExpiredKeys(sql: Sql, { now, limit }: { now: number; limit: number }): Promise<number> {
  return (await sql.query(removeStatement, [now, limit])).length;
}

// Index: the primary key, here and in those that follow. Of two at once, one inserts and the other waits for its commit and updates nothing.
const claimStatement: Statement = {
  name: "claim_idempotency_key",
  text: `
    insert into idempotency_key as k (scope, key, owner, fingerprint, state, lease_expires_at, expires_at)
    values ($1, $2, $3::uuid, $4, 'IN_PROGRESS', to_timestamp($6::double precision / 1000), to_timestamp($7::double precision / 1000))
    on conflict (scope, key) do update
    set owner = excluded.owner, fingerprint = excluded.fingerprint, state = excluded.state, answer = null,
        lease_expires_at = excluded.lease_expires_at, expires_at = excluded.expires_at
    where k.expires_at <= to_timestamp($5::double precision / 1000)
       or (k.state = 'IN_PROGRESS' and k.lease_expires_at <= to_timestamp($5::double precision / 1000))
    returning 1`,
};

const readStatement: Statement = {
  name: "read_idempotency_key",
  text: "select fingerprint, answer from idempotency_key where scope = $1 and key = $2",
};

const keepStatement: Statement = {
  name: "keep_idempotent_answer",
  text: `
    update idempotency_key set state = 'ANSWERED', answer = $4, lease_expires_at = null, expires_at = to_timestamp($5::double precision / 1000)
    where scope = $1 and key = $2 and owner = $3::uuid and state = 'IN_PROGRESS'`,
};

const renewStatement: Statement = {
  name: "renew_idempotency_key",
  text: `
    update idempotency_key set lease_expires_at = to_timestamp($4::double precision / 1000)
    where scope = $1 and key = $2 and owner = $3::uuid and state = 'IN_PROGRESS'`,
};

const releaseStatement: Statement = {
  name: "release_idempotency_key",
  text: "delete from idempotency_key where scope = $1 and key = $2 and owner = $3::uuid and state = 'IN_PROGRESS'",
};

// Index: idempotency_key_expires, from its start.
const removeStatement: Statement = {
  name: "remove_idempotency_keys",
  text: `
    delete from idempotency_key
    where (scope, key) in (
      select scope, key from idempotency_key where expires_at <= to_timestamp($1::double precision / 1000)
      order by expires_at limit $2 for update skip locked
    )
    returning 1`,
};

import type { Sql, Statement } from "../sql.ts";

/** How many sealed values of a table have one header. */
export interface SealedCount {
  header: Uint8Array;
  values: number;
}

/** A sealed signing secret. */
export interface SealedSecret {
  id: string;
  webhookId: string;
  organizationId: string;
  sealed: Uint8Array;
}

/** What an idempotency key keeps. */
export interface SealedAnswer {
  scope: string;
  key: string;
  fingerprint: Uint8Array;
  answer: Uint8Array | null;
}

/** The sealed values of each table, counted by their headers. Reads all of both. */
export async function countSealed(sql: Sql): Promise<{ secrets: SealedCount[]; answers: SealedCount[] }> {
  const [secrets, answers] = await Promise.all([
    sql.query<SealedCount>(countSecrets, []),
    sql.query<SealedCount>(countAnswers, []),
  ]);
  return { secrets, answers };
}

/** How many rows, but for those that are named, have a value that does not have the header. Reads all of both tables. */
export async function countOtherwiseSealed(
  sql: Sql,
  header: Uint8Array,
  { secrets, answers }: { secrets: readonly { id: string }[]; answers: readonly { scope: string; key: string }[] },
): Promise<number> {
  const [row] = await sql.query<{ rows: number }>(countOthers, [
    header,
    secrets.map(({ id }) => id),
    answers.map(({ scope }) => scope),
    answers.map(({ key }) => key),
  ]);
  return row?.rows ?? 0;
}

/**
 * Removes secrets that have expired and do not have the header: nothing reads them any more. At most `limit`, and without those that somebody else
 * has locked. Returns how many there were.
 */
export async function removeExpiredSecrets(
  sql: Pick<Sql, "query">,
  { header, limit }: { header: Uint8Array; limit: number },
): Promise<number> {
  return (await sql.query(removeExpired, [header, limit])).length;
}

/**
 * Signing secrets behind `after` that do not have the header and have not expired, in the order of their ids; locked until the transaction ends, and
 * without those that somebody else has locked.
 */
export async function lockSecrets(transaction: Sql, { after, header, limit }: Batch<string>): Promise<SealedSecret[]> {
  return await transaction.query<SealedSecret>(lockSecretsStatement, [after, header, limit]);
}

/** Replaces the sealed forms of secrets that are locked. */
export async function writeSecrets(transaction: Sql, secrets: readonly SealedSecret[]): Promise<void> {
  await transaction.query(writeSecretsStatement, [secrets.map(({ id }) => id), secrets.map(({ sealed }) => sealed)]);
}

/** The same of idempotency keys: those of which the fingerprint or the answer does not have the header. */
export async function lockAnswers(
  transaction: Sql,
  { after, header, limit }: Batch<Pick<SealedAnswer, "scope" | "key">>,
): Promise<SealedAnswer[]> {
  return await transaction.query<SealedAnswer>(lockAnswersStatement, [after.scope, after.key, header, limit]);
}

export async function writeAnswers(transaction: Sql, answers: readonly SealedAnswer[]): Promise<void> {
  const columns = (["scope", "key", "fingerprint", "answer"] as const).map((name) => answers.map((row) => row[name]));
  await transaction.query(writeAnswersStatement, columns);
}

/** Which rows are next. */
interface Batch<Cursor> {
  /** The last row of the batch before. */
  after: Cursor;
  /** That of the values that are left as they are. */
  header: Uint8Array;
  limit: number;
}

const countSecrets: Statement = {
  name: "",
  text: "select substring(sealed from 1 for 9) as header, count(*)::int as values from webhook_secret group by 1",
};

const countAnswers: Statement = {
  name: "",
  text: `
    select substring(value from 1 for 9) as header, count(*)::int as values
    from idempotency_key, unnest(array[fingerprint, answer]) as value
    where value is not null
    group by 1`,
};

const countOthers: Statement = {
  name: "",
  text: `
    select ((select count(*) from webhook_secret
             where substring(sealed from 1 for 9) <> $1::bytea and id not in (select unnest($2::uuid[]))) +
            (select count(*) from idempotency_key
             where (substring(fingerprint from 1 for 9) <> $1::bytea or substring(answer from 1 for 9) <> $1::bytea)
               and (scope, key) not in (select u.scope, u.key from unnest($3::text[], $4::text[]) as u (scope, key))))::int as rows`,
};

// Reads the table up to the last of them. Their number is that of rotations, of which each removes what has expired by then.
const removeExpired: Statement = {
  name: "remove-expired-secrets",
  text: `
    delete from webhook_secret
    where id in (select id from webhook_secret
                 where expires_at <= now() and substring(sealed from 1 for 9) <> $1::bytea
                 limit $2
                 for update skip locked)
    returning id`,
};

// Index: the primary key, from the cursor on. One walk over the table in all, however many batches there are.
const lockSecretsStatement: Statement = {
  name: "lock-sealed-secrets",
  text: `
    select s.id, s.webhook_id as "webhookId", w.organization_id as "organizationId", s.sealed
    from webhook_secret s join webhook w on w.id = s.webhook_id
    where s.id > $1::uuid and substring(s.sealed from 1 for 9) <> $2::bytea and (s.expires_at is null or s.expires_at > now())
    order by s.id
    limit $3
    for update of s skip locked`,
};

const writeSecretsStatement: Statement = {
  name: "write-sealed-secrets",
  text: `
    update webhook_secret s set sealed = n.sealed
    from unnest($1::uuid[], $2::bytea[]) as n (id, sealed)
    where s.id = n.id`,
};

const lockAnswersStatement: Statement = {
  name: "lock-sealed-answers",
  text: `
    select scope, key, fingerprint, answer
    from idempotency_key
    where (scope, key) > ($1, $2)
      and (substring(fingerprint from 1 for 9) <> $3::bytea or substring(answer from 1 for 9) <> $3::bytea)
    order by scope, key
    limit $4
    for update skip locked`,
};

const writeAnswersStatement: Statement = {
  name: "write-sealed-answers",
  text: `
    update idempotency_key k set fingerprint = n.fingerprint, answer = n.answer
    from unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[]) as n (scope, key, fingerprint, answer)
    where k.scope = n.scope and k.key = n.key`,
};

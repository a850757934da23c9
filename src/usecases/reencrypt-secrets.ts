import { setTimeout as delay } from "node:timers/promises";
import { isKeyMismatch, type SecretBox } from "../domain/secret-box.ts";
import { TellwireError } from "../errors.ts";
import {
  countOtherwiseSealed,
  lockAnswers,
  lockSecrets,
  removeExpiredSecrets,
  type SealedAnswer,
  type SealedSecret,
  writeAnswers,
  writeSecrets,
} from "../store/sql/sealed-values.ts";
import type { Sql } from "../store/sql.ts";
import { sealingContextOf } from "./idempotency.ts";

export interface ReencryptOptions {
  sql: Sql;
  secretBox: SecretBox;
  /** Told of each row that no key opens. */
  onUnopenable: (row: UnopenableRow) => void;
  /** Told of each batch that is written, in its transaction: what it writes is committed with the batch. */
  onWritten?: (transaction: Sql, written: WrittenBatch) => Promise<void>;
  /** Rows in one transaction; left out: 500. */
  batch?: number;
}

export interface WrittenBatch {
  kind: "secrets" | "answers";
  count: number;
}

/** A row that stays as it is, because no key opens it. UUIDs. */
export type UnopenableRow =
  | { kind: "secret"; webhookId: string; organizationId: string; header: Uint8Array }
  | { kind: "answer"; header: Uint8Array };

/** How many rows were sealed anew, or would be. */
export interface Reencrypted {
  secrets: number;
  /** What idempotency keys keep. */
  answers: number;
  unopenable: number;
}

/**
 * Seals everything with the first key that is not sealed with it, or not in the present form. Each batch is a transaction: what is done stays done,
 * and another run goes on with the rest. Nobody waits for it longer than a batch takes, and it waits for nobody: processes may use and replace
 * secrets meanwhile, and several runs share the work. What others had locked is looked at again until nothing is left. Secrets that have expired are
 * removed in place of being sealed anew.
 */
export async function reencryptSecrets(options: ReencryptOptions): Promise<Reencrypted> {
  const { sql, secretBox, onWritten } = options;
  const writing: Settle = async (table, transaction, rows) => {
    await table.write(transaction, rows);
    if (rows.length > 0) await onWritten?.(transaction, { kind: table.kind, count: rows.length });
  };
  const [secretRows, answerRows] = [secretTable(secretBox), answerTable(secretBox)];
  let secrets = 0;
  let answers = 0;
  for (let pass = 1; ; pass += 1) {
    await removeExpired(options);
    secrets += await reseal(secretRows, writing, options);
    answers += await reseal(answerRows, writing, options);
    const except = { secrets: [...secretRows.unopenable.values()], answers: [...answerRows.unopenable.values()] };
    const left = await countOtherwiseSealed(sql, secretBox.header, except);
    if (left === 0) return { secrets, answers, unopenable: unopenableIn(secretRows, answerRows) };
    if (pass === maxPasses) throw stillOtherwiseSealed(left);
    await delay(pauseMs);
  }
}

/** What `reencryptSecrets` would do. Changes nothing. */
export async function tryReencryption(options: ReencryptOptions): Promise<Reencrypted> {
  const [secretRows, answerRows] = [secretTable(options.secretBox), answerTable(options.secretBox)];
  const secrets = await reseal(secretRows, forgetting, options);
  const answers = await reseal(answerRows, forgetting, options);
  return { secrets, answers, unopenable: unopenableIn(secretRows, answerRows) };
}

async function removeExpired({
  sql,
  secretBox: { header },
  batch: limit = defaultBatch,
}: ReencryptOptions): Promise<void> {
  let removed = limit;
  while (removed === limit) removed = await removeExpiredSecrets(sql, { header, limit });
}

/** Between two passes, in milliseconds. */
const pauseMs = 50;
const maxPasses = 200;
const defaultBatch = 500;

/** What to do with rows that were sealed anew. */
type Settle = <Row>(table: SealedTable<Row>, transaction: Sql, rows: readonly Row[]) => Promise<void>;

const forgetting: Settle = () => Promise.resolve();

/** Walks once over a table. Returns how many rows were sealed anew; notes those that cannot be opened, and tells of each once. */
async function reseal<Row>(
  table: SealedTable<Row>,
  settle: Settle,
  { sql, onUnopenable, batch = defaultBatch }: ReencryptOptions,
): Promise<number> {
  let count = 0;
  for (let after: Row | undefined, isEnd = false; !isEnd; ) {
    const from = after;
    const outcomes = await sql.transaction(async (transaction) => {
      const locked = await table.lock(transaction, from, batch);
      const tried = locked.map((row) => ({ row, resealed: tryTo(() => table.reseal(row)) }));
      const resealed = tried.flatMap(({ resealed: row }) => row ?? []);
      await settle(table, transaction, resealed);
      count += resealed.length;
      return tried;
    });
    for (const { row, resealed } of outcomes) {
      const id = table.idOf(row);
      if (resealed !== undefined) table.unopenable.delete(id);
      else if (!table.unopenable.has(id)) onUnopenable(table.describe(row));
      if (resealed === undefined) table.unopenable.set(id, row);
    }
    after = outcomes.at(-1)?.row;
    isEnd = outcomes.length < batch;
  }
  return count;
}

/** Undefined where no key opens it. */
function tryTo<Result>(open: () => Result): Result | undefined {
  try {
    return open();
  } catch (error) {
    if (isKeyMismatch(error)) return undefined;
    throw error;
  }
}

/** A table with sealed values. */
interface SealedTable<Row> {
  kind: WrittenBatch["kind"];
  /** The rows that are to be sealed anew, behind the one that is named. */
  lock(transaction: Sql, after: Row | undefined, limit: number): Promise<Row[]>;
  /** Throws SECRETS_KEY_MISMATCH. */
  reseal(row: Row): Row;
  write(transaction: Sql, rows: readonly Row[]): Promise<void>;
  idOf(row: Row): string;
  describe(row: Row): UnopenableRow;
  /** The rows that no key opened, by their ids. */
  unopenable: Map<string, Row>;
}

function unopenableIn(...tables: readonly { unopenable: ReadonlyMap<string, unknown> }[]): number {
  return tables.reduce((sum, { unopenable }) => sum + unopenable.size, 0);
}

function stillOtherwiseSealed(left: number): TellwireError {
  return new TellwireError(
    "INTERNAL",
    `${left} rows are still sealed in another way: either others keep them locked, or a process still seals with another key, because it has another ` +
      "list in TELLWIRE_SECRETS_KEY: restart such processes, and run it again",
  );
}

function secretTable({ header, reseal: resealed }: SecretBox): SealedTable<SealedSecret> {
  return {
    kind: "secrets",
    lock: (transaction, after, limit) => lockSecrets(transaction, { after: after?.id ?? lowestUuid, header, limit }),
    reseal: (row) => ({ ...row, sealed: resealed(row.sealed, row.webhookId) }),
    write: writeSecrets,
    idOf: ({ id }) => id,
    describe: ({ webhookId, organizationId, sealed }) => ({
      kind: "secret",
      webhookId,
      organizationId,
      header: sealed,
    }),
    unopenable: new Map(),
  };
}

const lowestUuid = "00000000-0000-0000-0000-000000000000";

function answerTable({ header, reseal: resealed }: SecretBox): SealedTable<SealedAnswer> {
  return {
    kind: "answers",
    lock: (transaction, after, limit) =>
      lockAnswers(transaction, { after: { scope: after?.scope ?? "", key: after?.key ?? "" }, header, limit }),
    reseal(row) {
      const context = sealingContextOf(row);
      const { fingerprint, answer } = row;
      return {
        ...row,
        fingerprint: resealed(fingerprint, context),
        answer: answer === null ? null : resealed(answer, context),
      };
    },
    write: writeAnswers,
    idOf: ({ scope, key }) => `${scope}\n${key}`,
    describe: ({ fingerprint }) => ({ kind: "answer", header: fingerprint }),
    unopenable: new Map(),
  };
}

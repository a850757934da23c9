import type { Config } from "../../config.ts";
import { readSealingKeys, type SealingKey } from "../../usecases/sealing-keys.ts";
import { withSealedStore } from "./open-sealed-store.ts";

/**
 * Prints what is sealed with which key, and which keys may go. Returns whether everything is sealed with the first key, in the present form.
 */
export async function printSecretsStatus(config: Config, print: (text: string) => void): Promise<boolean> {
  return await withSealedStore(config, async ({ database, secretBox }) => {
    const keys = await readSealingKeys({ sql: database.sql, secretBox });
    print(statusText(keys));
    return keys.every(isDone);
  });
}

/** A line for each key, and what to do. */
function statusText(keys: readonly SealingKey[]): string {
  const rows = keys.map((key) => [key.keyId, roles[key.role], String(key.secrets), String(key.answers)]);
  return `${[...table([["key id", "in TELLWIRE_SECRETS_KEY", "secrets", "kept answers"], ...rows]), "", ...advice(keys)].join("\n")}\n`;
}

const roles = { seals: "first: seals and opens", opens: "opens", missing: "no" } as const;

function advice(keys: readonly SealingKey[]): string[] {
  const lines = keys.flatMap(adviceOn);
  return lines.length > 0 ? lines : ["everything is sealed with the first key"];
}

function adviceOn(key: SealingKey): string[] {
  const { keyId, role } = key;
  const values = sealedWith(key);
  const run = "run `tellwire secrets reencrypt`";
  if (role === "seals") {
    return key.inOlderForm === 0 ? [] : [`${keyId}: ${key.inOlderForm} values are in an older form: ${run}`];
  }
  if (role === "opens") {
    return [values === 0 ? `${keyId}: nothing is sealed with it, it may go` : `${keyId}: is still needed: ${run}`];
  }
  const putBack = `${keyId}: what it sealed cannot be read: put it back into TELLWIRE_SECRETS_KEY`;
  return [`${putBack}, or rotate these secrets, and when their overlap has passed, ${run}`];
}

function isDone({ role, inOlderForm, ...key }: SealingKey): boolean {
  return role === "seals" ? inOlderForm === 0 : sealedWith(key) === 0;
}

function sealedWith({ secrets, answers }: Pick<SealingKey, "secrets" | "answers">): number {
  return secrets + answers;
}

/** Columns as wide as their longest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

import { readSealedHeader, type SecretBox } from "../domain/secret-box.ts";
import { countSealed, type SealedCount } from "../store/sql/sealed-values.ts";
import type { Sql } from "../store/sql.ts";

/** What is sealed with a key. */
export interface SealingKey {
  /** 16 hexadecimal digits. */
  keyId: string;
  /** Seals: the first of the list. Opens: one of the others. Missing: it is not in the list, and nothing that it sealed can be read. */
  role: "seals" | "opens" | "missing";
  secrets: number;
  /** Values that idempotency keys keep. */
  answers: number;
  /** How many of all of these are in an older form, without data keys of their own. */
  inOlderForm: number;
}

/** Every key of the list, in its order, and then the others that something is sealed with. */
export async function readSealingKeys({ sql, secretBox }: { sql: Sql; secretBox: SecretBox }): Promise<SealingKey[]> {
  const keys = new Map(
    secretBox.keyIds.map((keyId, index) => [keyId, unused(keyId, index === 0 ? "seals" : "opens")] as const),
  );
  const count = (kind: "secrets" | "answers", { header, values }: SealedCount): void => {
    const { keyId, isPresentForm } = readSealedHeader(header);
    const key = keys.get(keyId) ?? unused(keyId, "missing");
    keys.set(keyId, key);
    key[kind] += values;
    key.inOlderForm += isPresentForm ? 0 : values;
  };
  const { secrets, answers } = await countSealed(sql);
  for (const each of secrets) count("secrets", each);
  for (const each of answers) count("answers", each);
  return [...keys.values()];
}

function unused(keyId: string, role: SealingKey["role"]): SealingKey {
  return { keyId, role, secrets: 0, answers: 0, inOlderForm: 0 };
}

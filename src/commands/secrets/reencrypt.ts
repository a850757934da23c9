import { randomBytes } from "node:crypto";
import type { Config } from "../../config.ts";
import { publicId } from "../../domain/ids.ts";
import { readSealedHeader } from "../../domain/secret-box.ts";
import { createAuditTrail, systemCaller } from "../../usecases/audit-trail.ts";
import {
  type ReencryptOptions,
  reencryptSecrets,
  tryReencryption,
  type UnopenableRow,
} from "../../usecases/reencrypt-secrets.ts";
import { type SealedStore, withSealedStore } from "./open-sealed-store.ts";

/**
 * Seals everything with the first key of TELLWIRE_SECRETS_KEY, and prints what was done and what could not be opened. Returns whether everything
 * could.
 */
export async function reencrypt(config: Config, print: (text: string) => void): Promise<boolean> {
  return await withSealedStore(config, async (store) => {
    const options = { ...optionsFor(store, print), onWritten: auditOf(store) };
    const { secrets, answers, unopenable } = await reencryptSecrets(options);
    print(`${counted(secrets, answers)} now sealed with the key ${store.secretBox.keyIds[0]}\n`);
    return summedUp(unopenable, print);
  });
}

/** Prints what `reencrypt` would do, and changes nothing. */
export async function previewReencryption(config: Config, print: (text: string) => void): Promise<boolean> {
  return await withSealedStore(config, async (store) => {
    const { secrets, answers, unopenable } = await tryReencryption(optionsFor(store, print));
    print(`${counted(secrets, answers)} to be sealed with the key ${store.secretBox.keyIds[0]}: nothing was changed\n`);
    return summedUp(unopenable, print);
  });
}

function optionsFor({ database, secretBox }: SealedStore, print: (text: string) => void): ReencryptOptions {
  return {
    sql: database.sql,
    secretBox,
    onUnopenable: (row) => print(`cannot be opened: ${describe(row, secretBox)}\n`),
  };
}

/** Each batch has its entry in the audit log: a run that is interrupted has changed what it has changed. */
function auditOf({ secretBox }: SealedStore): NonNullable<ReencryptOptions["onWritten"]> {
  const audit = createAuditTrail({ now: Date.now, randomBytes });
  return (transaction, { kind, count }) =>
    audit.recordIn(transaction, systemCaller("tellwire secrets reencrypt"), {
      organizationId: null,
      action: "secrets.reencrypt",
      resource: { type: "secrets", id: null },
      before: null,
      after: { kind, count, keyId: secretBox.keyIds[0] },
    });
}

function describe(row: UnopenableRow, { keyIds }: SealedStore["secretBox"]): string {
  const { keyId } = readSealedHeader(row.header);
  const why = keyIds.includes(keyId)
    ? `it was changed since the key ${keyId} sealed it`
    : `it was sealed with the key ${keyId}, which is not in TELLWIRE_SECRETS_KEY`;
  if (row.kind === "answer") return `what an idempotency key keeps: ${why}`;
  const { webhookId, organizationId } = row;
  return `a secret of ${publicId("webhook", webhookId)} of ${publicId("organization", organizationId)}: ${why}`;
}

function counted(secrets: number, answers: number): string {
  return `${secrets} signing ${secrets === 1 ? "secret" : "secrets"} and the answers of ${answers} idempotency ${answers === 1 ? "key" : "keys"}:`;
}

function summedUp(unopenable: number, print: (text: string) => void): boolean {
  if (unopenable === 0) return true;
  print(
    `${unopenable} could not be opened, and stay as they are: put their keys back into TELLWIRE_SECRETS_KEY and run it again, or rotate them\n`,
  );
  return false;
}

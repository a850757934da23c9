import { type KeyUse, writeKeyUsage } from "../store/sql/write-key-usage.ts";
import { createBackgroundLoop } from "./background-loop.ts";
import type { Dependencies } from "./dependencies.ts";

/** Remembers when keys are used, and writes it down once a minute for all of them together, so that a call costs nothing. */
export interface KeyUsage {
  /** `keyId` is a UUID. */
  note(keyId: string): void;
  /** Writes down what was noted until now. Rejects where the database does not take it: it is kept for the next time. */
  write(): Promise<void>;
  start(): void;
  /** Writes down what is left. */
  stop(): Promise<void>;
}

export function createKeyUsage({
  database: { sql },
  ids,
  log,
}: Pick<Dependencies, "database" | "ids" | "log">): KeyUsage {
  let noted = new Map<string, number>();

  async function write(): Promise<void> {
    const writing = noted;
    noted = new Map();
    const uses: KeyUse[] = [...writing].map(([keyId, usedAt]) => ({ keyId, usedAt }));
    if (uses.length === 0) return;
    try {
      await writeKeyUsage(sql, uses);
    } catch (error) {
      // Next time, unless the key was used since.
      noted = new Map([...writing, ...noted]);
      throw error;
    }
  }

  const what = "writing down when keys were last used";
  const step = async (): Promise<boolean> => {
    await write();
    return false;
  };
  const loop = createBackgroundLoop({ what, step, intervalMs: 60_000, log });
  return {
    note: (keyId) => void noted.set(keyId, ids.now()),
    write,
    start: loop.start,
    async stop() {
      await loop.stop();
      await write().catch((error: unknown) => log.backgroundFailure(what, error));
    },
  };
}

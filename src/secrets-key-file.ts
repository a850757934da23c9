import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Config } from "./config.ts";
import { parseSecretsKey } from "./domain/secret-box.ts";
import { readOrCreatePrivateFile } from "./private-file.ts";

/**
 * The keys for secrets at rest: those of TELLWIRE_SECRETS_KEY, or where there are none, the key in `<data dir>/secrets.key`, which is made
 * the first time and readable by its owner only. Throws CONFIG_INVALID for a file that holds no key.
 */
export async function loadSecretsKeys(config: Pick<Config, "secretsKeys" | "dataDir">): Promise<readonly Uint8Array[]> {
  if (config.secretsKeys.length > 0) return config.secretsKeys;
  const path = join(config.dataDir, "secrets.key");
  const text = await readOrCreatePrivateFile(path, () => `${randomBytes(32).toString("base64")}\n`);
  return [parseSecretsKey(text, path)];
}

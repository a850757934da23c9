import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The files of Swagger UI that the reference page needs: beside the built program, where the build put them, else from the package among the
 * development dependencies. Undefined where there is neither.
 */
export async function loadReferenceAssets(): Promise<ReferenceAssets | undefined> {
  const folder = findFolder();
  if (folder === undefined) return undefined;
  const [script, style, icon] = await Promise.all(
    ["swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"].map((name) => readFile(join(folder, name))),
  );
  return script && style && icon && { script, style, icon };
}

export interface ReferenceAssets {
  readonly script: Uint8Array;
  readonly style: Uint8Array;
  readonly icon: Uint8Array;
}

const require = createRequire(import.meta.url);

function findFolder(): string | undefined {
  const built = fileURLToPath(new URL("../../assets/swagger-ui", import.meta.url));
  if (existsSync(built)) return built;
  try {
    return dirname(require.resolve("swagger-ui-dist/package.json"));
  } catch {
    return undefined;
  }
}

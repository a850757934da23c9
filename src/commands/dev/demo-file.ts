import { join } from "node:path";
import { z } from "zod";
import { TellwireError } from "../../errors.ts";
import { readPrivateFile, writePrivateFile } from "../../private-file.ts";

/** What the demo must remember, because the API shows it only once. */
export type DemoFile = z.infer<typeof schema>;

/** Reads `<data dir>/demo.json`; undefined where there is none. Throws CONFIG_INVALID where it is not what was written. */
export async function readDemoFile(dataDir: string): Promise<DemoFile | undefined> {
  const path = demoFilePath(dataDir);
  const text = await readPrivateFile(path);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new TellwireError("CONFIG_INVALID", `${path} is damaged: remove it, and the demo begins anew`, { cause });
  }
}

/** Writes `<data dir>/demo.json`, readable by its owner only. */
export async function writeDemoFile(dataDir: string, demo: DemoFile): Promise<void> {
  await writePrivateFile(demoFilePath(dataDir), `${JSON.stringify(demo, undefined, 2)}\n`);
}

/** Where the demo keeps its key and its secret. */
export function demoFilePath(dataDir: string): string {
  return join(dataDir, "demo.json");
}

const schema = z.object({
  organizationId: z.string(),
  /** `twk_…` */
  apiKey: z.string(),
  /** `whsec_…`, of the demo webhook. */
  signingSecret: z.string(),
});

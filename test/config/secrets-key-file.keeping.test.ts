import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { loadSecretsKeys } from "../../src/secrets-key-file.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const folders: TemporaryFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

function newFolder(): string {
  const folder = makeTemporaryFolder("secrets");
  folders.push(folder);
  return folder.path;
}

it("a key is made once, and found again", async () => {
  const dataDir = join(newFolder(), "not", "yet", "there");
  const [key] = await loadSecretsKeys({ secretsKeys: [], dataDir });
  expect(key).toHaveLength(32);
  expect(await loadSecretsKeys({ secretsKeys: [], dataDir })).toEqual([key]);
});

it("two processes that start at once get the same key", async () => {
  const dataDir = newFolder();
  const loaded = await Promise.all(Array.from({ length: 10 }, () => loadSecretsKeys({ secretsKeys: [], dataDir })));
  expect(new Set(loaded.map(([key]) => Buffer.from(key!).toString("hex"))).size).toBe(1);
  expect(readdirSync(dataDir)).toEqual(["secrets.key"]);
});

it("only the owner may read the key", async () => {
  const dataDir = newFolder();
  await loadSecretsKeys({ secretsKeys: [], dataDir });
  expect(statSync(join(dataDir, "secrets.key")).mode & 0o777).toBe(0o600);
});

it("a configured key is used in place of the file, and no file is made", async () => {
  const dataDir = newFolder();
  const key = Buffer.alloc(32, 1);
  expect(await loadSecretsKeys({ secretsKeys: [key], dataDir })).toEqual([key]);
  expect(readdirSync(dataDir)).toEqual([]);
});

it("a damaged file is refused by name, and never replaced", async () => {
  const dataDir = newFolder();
  const path = join(dataDir, "secrets.key");
  writeFileSync(path, "not a key");
  await expect(loadSecretsKeys({ secretsKeys: [], dataDir })).rejects.toMatchObject({
    reason: "CONFIG_INVALID",
    message: expect.stringContaining(path),
  });
  expect(readFileSync(path, "utf8")).toBe("not a key");
});

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const documentation = readFileSync(join(root, "docs/security.md"), "utf8");
const named = [...documentation.matchAll(/`(test\/[^`]+)`/g)].map(([, path = ""]) => path);

test("the tests that show the promises of docs/security.md are there", () => {
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

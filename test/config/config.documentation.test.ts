import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { configDefaults, type VariableName, variables } from "../../src/config/variables.ts";

const documentation = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");
const rows = new Map(
  [...documentation.matchAll(/^\| `(TELLWIRE_[A-Z_]+)` +\| ([^|]+) \|/gm)].map(([, name, value]) => [
    name,
    value?.trim(),
  ]),
);

it("the documentation lists every variable, and no other", () => {
  expect([...rows.keys()].sort()).toEqual(Object.keys(variables).sort());
});

it.each(Object.keys(variables) as VariableName[])("the documentation tells the default of %s", (name) => {
  const value = configDefaults[name];
  expect(rows.get(name)).toBe(value === undefined ? "none" : `\`${value}\``);
});

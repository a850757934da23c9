import { readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";

/** The version of this package, the same from the sources and from the build. */
export const version: string = readVersion();

function readVersion(): string {
  const path = findPackageJSON("..", import.meta.url);
  if (path === undefined) throw new Error(`no package.json above ${import.meta.url}`);
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}

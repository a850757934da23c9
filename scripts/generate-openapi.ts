// Writes the OpenAPI document of the contract: `node scripts/generate-openapi.ts [file]`, gen/openapi.json where none is named.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { tellwireDocument } from "../src/openapi/content/tellwire-document.ts";
import { version } from "../src/version.ts";

const [path = "gen/openapi.json"] = process.argv.slice(2);
// Generated code has no comments; what the compiler writes has.
const image = execFileSync("buf", ["build", "--output", "-#format=binpb"], {
  maxBuffer: 64 * 1024 * 1024,
  shell: process.platform === "win32",
});
mkdirSync(dirname(path), { recursive: true });
writeFileSync(path, `${JSON.stringify(tellwireDocument(image, version), undefined, 2)}\n`);

// Writes the OpenAPI documents of the contract and of the dialects: `node scripts/generate-openapi.ts [folder]`, gen where none is named.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { withHeaders } from "../src/dialects/document-headers.ts";
import { withScopes } from "../src/dialects/document-scopes.ts";
import { layerDocument } from "../src/dialects/layer/openapi.ts";
import { layersDocument } from "../src/dialects/layers/openapi.ts";
import { verifikDocument } from "../src/dialects/verifik/openapi.ts";
import { answerHeaders, errorHeaders, headerComponents } from "../src/openapi/content/answer-headers.ts";
import { tellwireDocument } from "../src/openapi/content/tellwire-document.ts";
import { createServedDialects } from "../src/served-dialects.ts";
import type { UseCases } from "../src/usecases/use-cases.ts";
import { version } from "../src/version.ts";

const [folder = "gen"] = process.argv.slice(2);
// Generated code has no comments; what the compiler writes has.
const image = execFileSync("buf", ["build", "--output", "-#format=binpb"], {
  maxBuffer: 64 * 1024 * 1024,
  shell: process.platform === "win32",
});
const documents = {
  "openapi.json": tellwireDocument(image, version),
  "openapi/layer.json": dialectDocument("layer", layerDocument(version)),
  "openapi/verifik.json": dialectDocument("verifik", verifikDocument(version)),
  "openapi/layers.json": dialectDocument("layers", layersDocument(version)),
};
for (const [name, document] of Object.entries(documents)) {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(document, undefined, 2)}\n`);
}

/** Of the dialect its table of routes alone is read: nothing is called. */
function dialectDocument(name: string, document: Record<string, unknown>): Record<string, unknown> {
  const defaultPolicy = { delaysMs: [], maxAttempts: 1, timeoutMs: 1_000 };
  const dialects = createServedDialects({} as UseCases, { publicUrl: undefined, tls: undefined, defaultPolicy });
  const headers = { components: headerComponents, of: (status: number) => errorHeaders[status] ?? answerHeaders };
  return withHeaders(withScopes(document, dialects.find((dialect) => dialect.name === name)?.routes ?? []), headers);
}

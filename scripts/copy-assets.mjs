// Puts what the built program reads beside its code: the OpenAPI document, and the files of the reference page with their licences.
import { copyFileSync, cpSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const swaggerUi = dirname(require.resolve("swagger-ui-dist/package.json"));
const names = [
  "swagger-ui-bundle.js",
  "swagger-ui-bundle.js.LICENSE.txt",
  "swagger-ui.css",
  "favicon-32x32.png",
  "LICENSE",
  "NOTICE",
];

mkdirSync("dist/assets/swagger-ui", { recursive: true });
for (const name of names) copyFileSync(join(swaggerUi, name), join("dist/assets/swagger-ui", name));
copyFileSync("gen/openapi.json", "dist/gen/openapi.json");
cpSync("gen/openapi", "dist/gen/openapi", { recursive: true });

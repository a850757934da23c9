// Lints the documents in gen/ by the rules of redocly.yaml: neither errors nor warnings are accepted.
import { spawnSync } from "node:child_process";

const offline = { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };

const documents = ["gen/openapi.json", ...["layer", "verifik", "layers"].map((name) => `gen/openapi/${name}.json`)];

const { stdout, stderr, status } = spawnSync("redocly", ["lint", ...documents, "--format=json"], {
  encoding: "utf8",
  env: { ...process.env, ...offline },
  shell: process.platform === "win32",
});
const result = parse(stdout);
if (result === undefined) {
  console.error(`redocly lint did not work (status ${status}):\n${stdout}${stderr}`);
  process.exitCode = 1;
} else if (result.problems.length > 0) {
  for (const { severity, ruleId, message, location = [] } of result.problems) {
    console.error(
      `${severity} ${ruleId}: ${message}\n  at ${location[0]?.source?.ref ?? ""} ${location[0]?.pointer ?? "the document"}`,
    );
  }
  process.exitCode = 1;
} else {
  console.log(`valid OpenAPI without warnings: ${documents.join(", ")}`);
}

function parse(text) {
  try {
    const parsed = JSON.parse(text);
    return Array.isArray(parsed.problems) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

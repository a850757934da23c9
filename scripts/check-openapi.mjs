// Lints the documents in gen/ by the rules of redocly.yaml: neither errors nor warnings are accepted.
import { spawnSync } from "node:child_process";

const documents = ["gen/openapi.json", ...["layer", "verifik", "layers"].map((name) => `gen/openapi/${name}.json`)];
const offline = { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };

// One by one: for several documents, what redocly writes is no JSON.
for (const document of documents) lint(document);

function lint(document) {
  const { stdout, stderr, status } = spawnSync("redocly", ["lint", document, "--format=json"], {
    encoding: "utf8",
    env: { ...process.env, ...offline },
    shell: process.platform === "win32",
  });
  const problems = problemsOf(stdout);
  if (problems === undefined) {
    console.error(`redocly lint ${document} did not work (status ${status}):\n${stdout}${stderr}`);
    process.exitCode = 1;
  } else if (problems.length > 0) {
    for (const { severity, ruleId, message, location = [] } of problems) {
      console.error(`${document}: ${severity} ${ruleId}: ${message}\n  at ${location[0]?.pointer ?? "the document"}`);
    }
    process.exitCode = 1;
  } else {
    console.log(`${document} is a valid OpenAPI document without warnings`);
  }
}

function problemsOf(text) {
  try {
    const { problems } = JSON.parse(text);
    return Array.isArray(problems) ? problems : undefined;
  } catch {
    return undefined;
  }
}

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measureGateway } from "./gateway.ts";
import { parts, runParts } from "./run-parts.ts";
import { resultsFolder, saveResults } from "./save-results.ts";
import { measureSigning } from "./signing.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    profile: { type: "boolean", default: false },
    source: { type: "string", default: fileURLToPath(new URL("..", import.meta.url)) },
    help: { type: "boolean", default: false },
  },
});

const byThemselves = ["gateway", "signing"];
const unknown = positionals.filter((name) => !byThemselves.includes(name) && !Object.hasOwn(parts, name));
if (values.help || unknown.length > 0) {
  printHelp();
  process.exitCode = unknown.length === 0 ? 0 : 1;
} else if (positionals.includes("gateway")) {
  console.log(`\nkept in ${await saveResults("gateway", await measureGateway(values))}`);
} else if (positionals.includes("signing")) {
  console.log(`\nkept in ${await saveResults("signing", { costs: measureSigning(values) })}`);
} else {
  const program = {
    source: resolve(values.source),
    profileFolder: values.profile ? resultsFolder : undefined,
  };
  const names = positionals.length > 0 ? positionals : Object.keys(parts);
  const { results, isComplete } = await runParts(names, { program, quick: values.quick });
  console.log(`\nkept in ${await saveResults("delivery", results)}`);
  if (!isComplete) process.exitCode = 1;
}

function printHelp(): void {
  for (const name of unknown) console.log(`there is no part ${name}\n`);
  console.log("usage: npm run bench [-- <part>… --quick --profile --source <folder>]\n");
  console.log("parts of the delivery, all of them where none is named:");
  for (const [name, { help }] of Object.entries(parts)) console.log(`  ${name.padEnd(12)}${help}`);
  console.log("\nby itself:");
  console.log("  gateway     the CPU of one unary call by REST and by Connect JSON, and of finding a route");
  console.log("  signing     what a signature costs: HMAC and ed25519");
  console.log("\n  --quick     less of everything, in a few minutes");
  console.log("  --profile   also CPU profiles of the server, without which the numbers are better");
  console.log("  --source    the folder of another checkout of Tellwire, to measure that one");
}

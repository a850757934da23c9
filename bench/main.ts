import { parseArgs } from "node:util";
import { measureGateway } from "./gateway.ts";
import { saveResults } from "./save-results.ts";

/** What `npm run bench -- <name>` runs: a line of help, and the measurement, which prints its table and answers with what is to be kept. */
const benchmarks: Readonly<Record<string, Benchmark>> = {
  gateway: {
    help: "the CPU of one unary call by REST and by Connect JSON, and of finding a route among 10 and 1,000",
    run: measureGateway,
  },
};

interface Benchmark {
  help: string;
  run: (options: { profile: boolean }) => Promise<object>;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { profile: { type: "boolean", default: false } },
});
const [name = ""] = positionals;
const benchmark = Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined;
if (benchmark === undefined) {
  console.log("usage: npm run bench -- <name> [--profile]\n");
  for (const [known, { help }] of Object.entries(benchmarks)) console.log(`  ${known.padEnd(12)}${help}`);
  console.log("\n  --profile   also writes CPU profiles of the server, without which the numbers are better");
  process.exitCode = name === "" ? 0 : 1;
} else {
  console.log(`\nkept in ${await saveResults(name, await benchmark.run(values))}`);
}

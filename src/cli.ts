import { Command } from "commander";
import { pino } from "pino";
import { endWithParent } from "./commands/dev/end-with-parent.ts";
import { failureText } from "./commands/failure-text.ts";
import { serve } from "./commands/serve.ts";
import { nearestName } from "./config/nearest-name.ts";
import { type Command as ConfigCommand, readConfig } from "./config.ts";
import { createLog } from "./telemetry/log.ts";
import { version } from "./version.ts";

/** What a pipe takes as a whole (PIPE_BUF of Linux): the lines of several processes on one output must not mix. */
const atomicWriteBytes = 4096;

const program = new Command("tellwire")
  .description("Sends webhooks: signed deliveries with retries, of events from RPC, REST or NATS.")
  .version(version, "--version", "print the version")
  .helpOption("--help", "print this help")
  .helpCommand(false)
  .showHelpAfterError("(tellwire --help lists the commands and options)")
  .addHelpText("after", "\nTellwire is configured by TELLWIRE_… variables: see docs/configuration.md.");

program
  .command("serve", { isDefault: true })
  .description("run the service (the default)")
  // As the default it gets every word that is no command.
  .allowExcessArguments()
  .action(async (_options: object, { args: [word] }: Command) => {
    if (word !== undefined) refuseWord(word);
    const { config, log, exit } = prepare("serve");
    await serve(config, { log, exit });
  });

program
  .command("dev")
  .description("run it for development, with a demo organization, a demo webhook and its receiver")
  .option("--end-with-parent", "stop when the program that started this one has ended")
  .action(async (options: { endWithParent?: boolean }) => {
    if (options.endWithParent) endWithParent();
    const { config, log, exit, print } = prepare("dev");
    const { runDev } = await import("./commands/dev.ts");
    await runDev(config, { log, exit, print });
  });

program
  .command("migrate")
  .description("bring the tables of the database up to date")
  .action(async () => {
    const config = readConfig("migrate");
    const { migrate } = await import("./commands/migrate.ts");
    await migrate(config, (text) => process.stdout.write(text));
  });

const secrets = program.command("secrets").description("the encryption of signing secrets in the database");

secrets
  .command("status")
  .description("say how much is sealed with which key; exit code 1 where not everything is with the first one")
  .action(async () => {
    const { printSecretsStatus } = await import("./commands/secrets/status.ts");
    if (!(await printSecretsStatus(readConfig("secrets"), printOut))) process.exitCode = 1;
  });

secrets
  .command("reencrypt")
  .description(
    "seal everything with the first key of TELLWIRE_SECRETS_KEY; exit code 1 where something cannot be opened",
  )
  .option("--dry-run", "only say what would come of it")
  .action(async ({ dryRun = false }: { dryRun?: boolean }) => {
    const { previewReencryption, reencrypt } = await import("./commands/secrets/reencrypt.ts");
    const run = dryRun ? previewReencryption : reencrypt;
    if (!(await run(readConfig("secrets"), printOut))) process.exitCode = 1;
  });

program
  .command("import")
  .description("take over organizations and webhooks of another system: lines of JSON, see docs/importing.md")
  .argument("<file>", "the file; - is standard input")
  .option("--url <url>", "where the API is (default: TELLWIRE_PUBLIC_URL, or this machine at TELLWIRE_HTTP_ADDR)")
  .option(
    "--key <key>",
    "the operator's key (default: TELLWIRE_OPERATOR_KEY, which other users of this machine cannot see)",
  )
  .option("--dry-run", "only say what would come of it")
  .action(async (file: string, options: { url?: string; key?: string; dryRun?: boolean }) => {
    const { importTransport } = await import("./commands/import/import-transport.ts");
    const { importLines, openImportFile } = await import("./commands/import.ts");
    const transport = importTransport(readConfig("import"), options);
    const print = (text: string) => process.stdout.write(text);
    const refused = await importLines({
      input: await openImportFile(file),
      transport,
      dryRun: options.dryRun ?? false,
      print,
    });
    if (refused > 0) process.exitCode = 1;
  });

// Node.js would print the error with everything that it carries, such as a statement with its parameters.
process.on("uncaughtException", endWithFailure);

try {
  await program.parseAsync();
} catch (error) {
  endWithFailure(error);
}

/** Not by the exit code alone: a library that leaves a socket open after a failed connection must not keep the process. */
function endWithFailure(error: unknown): void {
  process.stderr.write(`tellwire: ${failureText(error)}\n`, () => process.exit(1));
}

/** Ends the process with what it does not know, and with the command that was probably meant. */
function refuseWord(word: string): never {
  const names = program.commands.map((command) => command.name());
  return program.error(`error: '${word}' is no command of tellwire: did you mean ${nearestName(word, names)}?`);
}

function printOut(text: string): void {
  process.stdout.write(text);
}

/** Log lines and printed text share one way out, so that they stand in the order in which they were written. */
function prepare(command: ConfigCommand) {
  const config = readConfig(command);
  const output = pino.destination({ dest: 1, sync: config.logFormat === "pretty", maxWrite: atomicWriteBytes });
  const exit = (code: number): void => {
    output.flushSync();
    process.exit(code);
  };
  const print = (text: string): void => {
    output.write(text);
  };
  return { config, log: createLog({ level: config.logLevel, format: config.logFormat, output }), exit, print };
}

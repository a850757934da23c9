#!/usr/bin/env node
// The `tellwire` command: runs the built program with Node 24 or later, the current one if it is, else the one from this package's
// dependencies. Itself it works with Node 20.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const neededMajor = 24;
const program = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist", "src", "cli.js");

if (!existsSync(program)) {
  fail(`${program} is missing: run \`npm run build\` first`);
} else if (Number(process.versions.node.split(".")[0]) >= neededMajor) {
  becomeWithOptions();
  await import(pathToFileURL(program).href);
} else {
  const node = bundledNode();
  if (node === undefined) {
    fail(
      `Node ${neededMajor} or later is needed, and this is ${process.versions.node}. Install it, or let npm install the optional ` +
        "dependencies of tellwire: one of them is a Node for this platform",
    );
  } else {
    runWith(node);
  }
}

/**
 * Options of Node that cannot be set once it runs. Who sets one otherwise, here or in NODE_OPTIONS, is left to it.
 *
 * - The service makes new objects all the time, and few of them stay: a young generation of 64 MiB serves it as well as the 128 MiB that it grows to by default.
 * - V8 collects the whole heap of a process that is busy all the time each 100 s only to make it smaller, and deliveries wait meanwhile. The service does
 *   it when it is quiet (`give-back-when-quiet.ts`), for which it needs to be able to.
 */
function nodeOptions() {
  if (process.argv[2] !== "serve") return [];
  const given = [...process.execArgv, process.env.NODE_OPTIONS ?? ""].join(" ");
  return [
    { name: "semi-space-size", option: "--max-semi-space-size=32" },
    { name: "memory-reducer", option: "--no-memory-reducer" },
    { name: "expose-gc", option: "--expose-gc" },
  ].flatMap(({ name, option }) => (given.includes(name) ? [] : [option]));
}

/** Goes on as the same process with the options: returns where none are wanted, or where the platform has no such call (Windows). */
function becomeWithOptions() {
  const options = nodeOptions();
  if (options.length === 0 || process.platform === "win32" || process.execve === undefined) return;
  process.execve(process.execPath, [process.execPath, ...options, ...process.execArgv, ...process.argv.slice(1)]);
}

/** The Node from the package for this platform, where npm installed it. */
function bundledNode() {
  const platform = process.platform === "win32" ? "win" : process.platform;
  const name = `node-${platform}-${process.arch}`;
  try {
    const folder = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
    return join(folder, "bin", process.platform === "win32" ? "node.exe" : "node");
  } catch {
    return undefined;
  }
}

/** Stands in for the program: passes signals on, and ends as it ends. */
function runWith(node) {
  const child = spawn(node, [...nodeOptions(), program, ...process.argv.slice(2)], { stdio: "inherit" });
  // From a terminal the child hears Ctrl-C twice, which it takes as once.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => fail(`${node} does not run: ${error.message}`));
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 1;
    if (signal !== null) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    }
  });
}

function fail(message) {
  process.stderr.write(`tellwire: ${message}\n`);
  process.exitCode = 1;
}

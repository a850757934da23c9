// Checks what package-lock.json would install: every licence goes together with Apache-2.0, and no package runs a script when it is installed but
// those that docs/security.md names. Fails where something does not hold, and names the package and what to do.
import { readFileSync } from "node:fs";

/** Licences that ask for no more than their own text and names to be kept: code under them may be shipped with a program under Apache-2.0. */
const allowedAnywhere = [
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "CC0-1.0",
  "ISC",
  "MIT",
  "Python-2.0",
  "Unlicense",
];

/** Packages under other licences, each with the reason why it may be used for development. None of them is shipped. */
const allowedForDevelopment = {
  "MPL-2.0": {
    packages: /^lightningcss(-|$)/,
    reason:
      "vitest's bundler uses it as it is; the MPL asks for the source of changed files, and none is changed or passed on",
  },
};

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const { allowScripts = {} } = JSON.parse(readFileSync("package.json", "utf8"));
const documentation = readFileSync("docs/security.md", "utf8");
const packages = Object.entries(lock.packages)
  .filter(([place]) => place !== "")
  .map(([place, entry]) => ({ name: place.split("node_modules/").at(-1), ...entry }));

const problems = [...licenceProblems(), ...scriptProblems()];
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`${packages.length} packages: licences and install scripts are as they should be`);

function licenceProblems() {
  return packages.flatMap(({ name, version, license, dev }) => {
    const expression = license ?? licenceOfParent(name);
    if (expression === undefined)
      return [`${name} ${version} names no licence: find out which it is, or do without it`];
    if (holds(expression, (licence) => isAllowed(licence, name, dev))) return [];
    return [
      `${name} ${version} is under ${expression}, which is not among the licences of scripts/check-dependencies.mjs${dev ? "" : " for packages that are shipped"}`,
    ];
  });
}

/**
 * Packages of other platforms stand in the lock file with nothing but a version, where the registry at hand had none of them. They are parts of the
 * package that asks for them, published together with it.
 */
function licenceOfParent(name) {
  return packages.find(
    ({ optionalDependencies = {}, license }) => license !== undefined && name in optionalDependencies,
  )?.license;
}

function isAllowed(licence, name, dev) {
  const exception = allowedForDevelopment[licence];
  return (
    allowedAnywhere.includes(licence) || (dev === true && exception !== undefined && exception.packages.test(name))
  );
}

/** Reads a licence expression of SPDX: names, AND, OR (which binds less), and parentheses. Throws where it is none. */
function holds(expression, isFine) {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? [];
  const result = readAlternatives();
  if (tokens.length > 0) throw new Error(`${expression} is no licence expression`);
  return result;

  function readAlternatives() {
    let value = readTogether();
    while (tokens[0] === "OR") {
      tokens.shift();
      value = readTogether() || value;
    }
    return value;
  }

  function readTogether() {
    let value = readOne();
    while (tokens[0] === "AND") {
      tokens.shift();
      value = readOne() && value;
    }
    return value;
  }

  function readOne() {
    const token = tokens.shift();
    if (token !== "(") return isFine(token);
    const value = readAlternatives();
    tokens.shift();
    return value;
  }
}

function scriptProblems() {
  const withScripts = packages.filter(({ hasInstallScript }) => hasInstallScript);
  const names = new Set(withScripts.map(({ name }) => name));
  const unnamed = withScripts
    .filter(({ name }) => !(name in allowScripts) || !documentation.includes(`\`${name}\``))
    .map(
      ({ name, version }) =>
        `${name} ${version} has an install script: name it in allowScripts of package.json, and in docs/security.md`,
    );
  const shipped = withScripts
    .filter(({ dev }) => dev !== true)
    .map(({ name, version }) => `${name} ${version} has an install script and is shipped: do without it`);
  const run = Object.entries(allowScripts)
    .filter(([, mayRun]) => mayRun !== false)
    .map(([name]) => `${name} may run its install script by allowScripts of package.json: none may`);
  const stale = Object.keys(allowScripts)
    .filter((name) => !names.has(name))
    .map(
      (name) => `${name} has no install script: take it out of allowScripts of package.json and of docs/security.md`,
    );
  return [...unnamed, ...shipped, ...run, ...stale];
}

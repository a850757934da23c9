// Asks the registry which vulnerabilities are known in the packages of package-lock.json (`npm audit`). Any that is known fails. A registry
// that cannot be asked (a mirror without that service, no network) is no pass: it is said loudly, and fails with --required, as before a release.
import { spawnSync } from "node:child_process";

const isRequired = process.argv.includes("--required");
const { stdout, stderr } = spawnSync("npm", ["audit", "--json"], {
  encoding: "utf8",
  maxBuffer: 64 * 1024 * 1024,
  shell: process.platform === "win32",
});
const report = reportOf(stdout);

if (report === undefined) {
  const reason = stderr.split("\n").find((line) => /audit|error/i.test(line)) ?? "npm audit gave no report";
  const line = "!".repeat(78);
  console.error(
    `${line}\nTHE DEPENDENCIES WERE NOT AUDITED: the registry could not be asked for known vulnerabilities.`,
  );
  console.error(`  ${reason.trim()}`);
  console.error("Run `npm run audit -- --required` where it can be, before anything is released.");
  console.error(line);
  if (isRequired) process.exitCode = 1;
} else {
  const found = Object.values(report.vulnerabilities);
  for (const { name, severity, range, via } of found) {
    const titles = via.map((each) => (typeof each === "string" ? `by way of ${each}` : `${each.title} (${each.url})`));
    console.error(`${name} ${range}: ${severity}: ${titles.join("; ")}`);
  }
  if (found.length > 0) process.exitCode = 1;
  else console.log("npm audit knows no vulnerability of the dependencies");
}

/** The report, where npm wrote one and not an error. */
function reportOf(text) {
  try {
    const report = JSON.parse(text);
    return typeof report.vulnerabilities === "object" ? report : undefined;
  } catch {
    return undefined;
  }
}

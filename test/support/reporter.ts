import { writeSync } from "node:fs";
import type { Reporter, SerializedError, TestModule, TestRunEndReason } from "vitest/node";

/**
 * Ends a run with one line that machines can read: `123 passed, 0 failed`, and `, 4 skipped` where some were. What failed outside of a test
 * (a file that does not load, a hook, an error that nobody caught, an interrupted run) counts as failed too.
 */
export class CountReporter implements Reporter {
  #line: string | undefined;

  onTestRunEnd(
    modules: readonly TestModule[],
    unhandledErrors: readonly SerializedError[],
    reason: TestRunEndReason,
  ): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 };
    for (const { children, ...module } of modules.map(withErrors)) {
      counts.failed += module.errorCount;
      for (const test of children.allTests()) {
        counts[test.result().state]++;
      }
    }
    const failed = counts.failed + (reason === "interrupted" ? Math.max(1, counts.pending) : counts.pending);
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
    // The failures are printed after this: the line has to wait for the very end.
    const line = `${counts.passed} passed, ${failed} failed${skipped}\n`;
    if (this.#line === undefined) {
      process.once("exit", () => writeSync(process.stdout.fd, this.#line ?? ""));
    }
    this.#line = line;
  }
}

function withErrors(module: TestModule) {
  const errorCount =
    module.errors().length + [...module.children.allSuites()].flatMap((suite) => suite.errors()).length;
  return { children: module.children, errorCount };
}

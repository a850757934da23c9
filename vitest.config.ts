import { defineConfig } from "vitest/config";
import { CountReporter } from "./test/support/reporter.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", new CountReporter()],
    // They only keep a run from hanging: a test that is slow because the machine is busy has not failed.
    testTimeout: 180_000,
    hookTimeout: 300_000,
    teardownTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    pool: "forks",
    // Two cores, and each file may have servers of its own.
    maxWorkers: 2,
  },
});

import { defineConfig } from "vitest/config";
import { CountReporter } from "./test/support/reporter.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", new CountReporter()],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    pool: "forks",
    // Two cores, and each file may have servers of its own.
    maxWorkers: 2,
  },
});

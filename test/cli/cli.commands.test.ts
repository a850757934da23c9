import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { runCli } from "./cli-process.ts";

const folder = makeTemporaryFolder("cli");
afterAll(() => folder.remove());

const packageVersion: string = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"),
).version;

describe("information", () => {
  it("--version prints the version of the package", async () => {
    expect(await runCli(["--version"])).toEqual({ exitCode: 0, stdout: `${packageVersion}\n`, stderr: "" });
  });

  it("--help names the commands, also where the configuration is wrong", async () => {
    const { exitCode, stdout } = await runCli(["--help"], { TELLWIRE_HTTP_ADDR: "wrong" });
    expect(exitCode).toBe(0);
    for (const command of ["serve", "dev", "migrate", "import"])
      expect(stdout).toMatch(new RegExp(`^ +${command} `, "m"));
  });
});

describe("errors", () => {
  it("a wrong configuration is one readable line without a stack, and exit code 1", async () => {
    const { exitCode, stdout, stderr } = await runCli(["serve"], { TELLWIRE_HTTP_ADRR: ":80" });
    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: "tellwire: TELLWIRE_HTTP_ADRR is not a variable of Tellwire: did you mean TELLWIRE_HTTP_ADDR?\n",
    });
  });

  it("several errors are listed below each other", async () => {
    const { stderr } = await runCli(["migrate"], { TELLWIRE_HTTP_ADDR: "x", TELLWIRE_GRPC_ADDR: "y" });
    expect(stderr.split("\n")).toEqual([
      "tellwire: the configuration has 2 errors:",
      expect.stringMatching(/^ {2}TELLWIRE_HTTP_ADDR must be host:port/),
      expect.stringMatching(/^ {2}TELLWIRE_GRPC_ADDR must be host:port/),
      "",
    ]);
  });

  it("an unknown command is refused", async () => {
    const { exitCode, stderr } = await runCli(["sevre"]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error: /);
  });

  it("a database that does not answer is named as such, without a stack", async () => {
    const { exitCode, stderr } = await runCli(["migrate"], {
      TELLWIRE_DATABASE_URL: "postgres://nobody@127.0.0.1:1/none",
    });
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr:
        "tellwire: nothing answers on 127.0.0.1:1: check that the server runs, and TELLWIRE_DATABASE_URL and TELLWIRE_NATS_URL\n",
    });
  });
});

describe("migrate", () => {
  it("makes the tables of the embedded database, says what ran, and has nothing to do the second time", async () => {
    const variables = { TELLWIRE_DATA_DIR: join(folder.path, "data") };
    const first = await runCli(["migrate"], variables);
    expect(first).toMatchObject({ exitCode: 0, stderr: "" });
    expect(first.stdout).toMatch(/^migrated: \S+\n(.+\n)*the tables are up to date\n$/);
    expect(await runCli(["migrate"], variables)).toEqual({
      exitCode: 0,
      stdout: "nothing to migrate: the tables are up to date\n",
      stderr: "",
    });
  });
});

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
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

  it("an unknown command is refused, and the command that was probably meant is named", async () => {
    const { exitCode, stderr } = await runCli(["sevre"]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error: 'sevre' is no command of tellwire: did you mean serve\?\n/);
  });

  it("a database that does not answer is named as such, without a stack", async () => {
    const { exitCode, stderr } = await runCli(["migrate"], {
      TELLWIRE_DATABASE_URL: "postgres://nobody:secret@127.0.0.1:1/none",
    });
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr:
        "tellwire: cannot connect to the database none at 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1: check that the server runs and has it, and TELLWIRE_DATABASE_URL\n",
    });
  });

  it("a data folder that cannot be made is told with its variable", async () => {
    const { exitCode, stderr } = await runCli(["serve"], { TELLWIRE_DATA_DIR: import.meta.filename });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^tellwire: ENOTDIR: .*: TELLWIRE_DATA_DIR has to be a folder that this user may write to\n$/,
    );
  });

  it("credentials for NATS that cannot be read are told with their variable", async () => {
    const { exitCode, stderr } = await runCli(["serve"], {
      TELLWIRE_DATA_DIR: join(folder.path, "credentials"),
      TELLWIRE_NATS_URL: "nats://127.0.0.1:1",
      TELLWIRE_NATS_CREDENTIALS: join(folder.path, "none.creds"),
    });
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: `tellwire: TELLWIRE_NATS_CREDENTIALS: ${join(folder.path, "none.creds")} cannot be read (ENOENT)\n`,
    });
  });

  it("a start that fails ends the process, also where what is no nats-server holds the connection open", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    try {
      const { exitCode, stderr } = await runCli(["serve"], {
        TELLWIRE_DATA_DIR: join(folder.path, "silent"),
        TELLWIRE_NATS_URL: `nats://127.0.0.1:${port}`,
      });
      expect({ exitCode, stderr }).toEqual({
        exitCode: 1,
        stderr: `tellwire: cannot connect to NATS at 127.0.0.1:${port}: timeout: check that a nats-server runs there, and TELLWIRE_NATS_URL\n`,
      });
    } finally {
      silent.close();
    }
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

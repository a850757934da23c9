import { randomUUID } from "node:crypto";
import pg from "pg";
import { expect, inject, it } from "vitest";
import { runCli } from "./cli-process.ts";

it("migrate makes the tables on a Postgres server, also where two run at once", async () => {
  const { url } = inject("postgres");
  const name = `tellwire_migrate_${randomUUID().replaceAll("-", "")}`;
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    await admin.query(`create database ${name}`);
    const target = new URL(url);
    target.pathname = `/${name}`;
    const variables = { TELLWIRE_DATABASE_URL: target.href };
    const runs = await Promise.all([runCli(["migrate"], variables), runCli(["migrate"], variables)]);
    expect(runs.map(({ exitCode, stderr }) => ({ exitCode, stderr }))).toEqual([
      { exitCode: 0, stderr: "" },
      { exitCode: 0, stderr: "" },
    ]);
    // One of them did the work, the other one waited and found it done.
    const outputs = runs.map(({ stdout }) => stdout).sort();
    expect(outputs).toEqual([expect.stringMatching(/^migrated: /), expect.stringMatching(/^nothing to migrate: /)]);
  } finally {
    await admin.query(`drop database if exists ${name} with (force)`);
    await admin.end();
  }
});

it("a database that does not exist is an error and is not made, so that a misspelt name is noticed", async () => {
  const target = new URL(inject("postgres").url);
  target.pathname = `/tellwire_misspelt_${process.pid}`;
  const variables = { TELLWIRE_DATABASE_URL: target.href };
  for (let time = 0; time < 2; time++) {
    const { exitCode, stderr } = await runCli(["migrate"], variables);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^tellwire: cannot connect to the database tellwire_misspelt_.* does not exist: check .*TELLWIRE_DATABASE_URL\n$/,
    );
  }
});

import { expect, test } from "vitest";
import { startTcpProxy } from "../../chaos/tcp-proxy.ts";
import { type Database, openEmbedded, openPostgres } from "../../src/store/database.ts";
import type { StopListening } from "../../src/store/sql.ts";
import { heapGrowth } from "../support/heap-growth.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { waitFor } from "../support/wait-for.ts";

let databaseUrl: string;
let database: Database;
withOwnDatabase({ maxConnections: 4 }, (own, url) => {
  database = own;
  databaseUrl = url;
});

const notify = async (to: Database, payload: string): Promise<void> =>
  void (await to.sql.query({ name: "", text: "select pg_notify('caught_up', $1)" }, [payload]));

test("whoever has caught up has heard everything that was committed before", async () => {
  const heard: string[] = [];
  const stop = await database.sql.listen(
    "caught_up",
    (payload) => heard.push(payload),
    () => {},
  );
  const rounds = 200;
  let gaps = 0;
  for (let count = 0; count < rounds; count++) {
    await notify(database, `${count}`);
    if (await hasCaughtUp(stop)) {
      expect(heard.at(-1)).toBe(`${count}`);
    } else {
      // The database took seconds to answer, and counts as lost: nothing is promised of what was told meanwhile.
      gaps += 1;
      await waitFor(() => hasCaughtUp(stop));
    }
  }
  expect(gaps).toBeLessThan(rounds / 2);
  await stop();
});

test("whoever listens on a lost connection has not caught up, until it is there again and the gap is told of", async () => {
  let gaps = 0;
  const stop = await database.sql.listen(
    "caught_up",
    () => {},
    () => {
      gaps += 1;
    },
  );
  const text = `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and query like 'listen caught_up%'`;
  await database.sql.query({ name: "", text }, []);
  await expect(
    (async () => {
      // The connection may answer once more before it is closed.
      for (;;) await stop.caughtUp();
    })(),
  ).rejects.toThrow(/lost|terminat|closed|connection error|does not answer/i);
  await waitFor(() => hasCaughtUp(stop));
  expect(gaps).toBeGreaterThan(0);
  await stop();
});

test.each(["asked", "left alone"])(
  "a connection that listens and falls silent without an end is replaced, and the gap is told of, also when it is %s",
  async (how) => {
    const url = new URL(databaseUrl);
    const proxy = await startTcpProxy(Number(url.port || 5432));
    Object.assign(url, { hostname: "127.0.0.1", port: `${proxy.port}` });
    const distant = await openPostgres(url.href, { maxConnections: 2 });
    const heard: string[] = [];
    let gaps = 0;
    const stop = await distant.sql.listen(
      "caught_up",
      (payload) => heard.push(payload),
      () => {
        gaps += 1;
      },
    );
    const end = proxy.lose();
    if (how === "asked") await expect(stop.caughtUp()).rejects.toThrow(/does not answer|lost/);
    await waitFor(() => gaps > 0, { what: "the connection to be replaced" });
    await waitFor(
      async () => {
        await notify(database, "after the gap");
        return heard.includes("after the gap");
      },
      { what: "what was told after the gap" },
    );
    await stop();
    end();
    await distant.close();
    await proxy.close();
  },
);

test("a connection to listen on that cannot be made says where the database is, and the setting that says so", async () => {
  const url = new URL(databaseUrl);
  const proxy = await startTcpProxy(Number(url.port || 5432));
  Object.assign(url, { hostname: "127.0.0.1", port: `${proxy.port}` });
  const distant = await openPostgres(url.href, { maxConnections: 2, connectTimeoutMs: 1_000 });
  proxy.stall();
  const listening = distant.sql.listen(
    "caught_up",
    () => {},
    () => {},
  );
  await expect(listening).rejects.toThrow(new RegExp(`127.0.0.1:${proxy.port}.*TELLWIRE_DATABASE_URL`));
  proxy.resume();
  await distant.close();
  await proxy.close();
});

test("questions that are answered are collected while they are young", async () => {
  const stop = await database.sql.listen(
    "caught_up",
    () => {},
    () => {},
  );
  const ask = () => hasCaughtUp(stop);
  for (let number = 0; number < 1_000; number++) await ask();
  expect(await heapGrowth(5_000, ask)).toBeLessThan(1_500_000);
  await stop();
});

test("the embedded database has called back when its statement returns", async () => {
  const embedded = await openEmbedded(undefined);
  const heard: string[] = [];
  const stop = await embedded.sql.listen(
    "caught_up",
    (payload) => heard.push(payload),
    () => {},
  );
  await notify(embedded, "1");
  await stop.caughtUp();
  expect(heard).toEqual(["1"]);
  await stop();
  await embedded.close();
});

function hasCaughtUp({ caughtUp }: StopListening): Promise<boolean> {
  return caughtUp().then(
    () => true,
    () => false,
  );
}

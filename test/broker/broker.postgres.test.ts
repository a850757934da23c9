import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { publishMessages } from "../../src/broker/postgres-statements.ts";
import type { Database } from "../../src/store/database.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";
import { brokerContract } from "./broker.contract.ts";
import { brokerWindowContract } from "./broker-window.contract.ts";
import { collect } from "./collect.ts";
import { postgresBrokerUnderTest } from "./postgres-broker-under-test.ts";

let server: TestDatabase;
let database: Database;
beforeAll(async () => {
  server = await createTestDatabase();
  database = await openTestPostgres(server.url, { maxConnections: 5 });
});
afterAll(async () => {
  await database.close();
  await server.drop();
});

brokerContract("the Postgres broker", () => postgresBrokerUnderTest(database.sql));
brokerWindowContract("the Postgres broker", () => postgresBrokerUnderTest(database.sql));

describe("the Postgres broker", () => {
  const message = { subject: "tellwire.events.org.type", headers: {}, body: Buffer.from("{}") };
  const withBroker = async (
    work: (broker: Broker, logged: string[]) => Promise<void>,
    ackWaitMs = 30_000,
  ): Promise<void> => {
    const logged: string[] = [];
    const broker = await openPostgresBroker(database.sql, {
      log: (_level, text) => void logged.push(text),
      pollIntervalMs: 100,
      ackWaitMs,
    });
    try {
      await work(broker, logged);
    } finally {
      await broker.close();
      await database.sql.query({ name: "clear", text: "delete from broker_message" }, []);
    }
  };

  test("a message is found by polling where its notification is lost", async () => {
    await withBroker(async (broker) => {
      const collected = await collect(broker);
      const text = "insert into broker_message (subject, headers, body) values ('a.b', '{}', '{}')";
      await database.sql.query({ name: "insert_silently", text }, []);
      await waitFor(() => collected.messages.length === 1);
      expect(collected.messages[0]!.subject).toBe("a.b");
    });
  });

  test("claiming goes on when the database answers again", async () => {
    await withBroker(async (broker, logged) => {
      const collected = await collect(broker, { acknowledge: true });
      await database.sql.query({ name: "hide", text: "alter table broker_message rename to hidden" }, []);
      await waitFor(() => logged.some((text) => text.includes("could not be claimed")));
      await expect(broker.publish([message])).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
      await database.sql.query({ name: "show", text: "alter table hidden rename to broker_message" }, []);
      await broker.publish([message]);
      await waitFor(() => collected.messages.length === 1);
    });
  });

  test("a message that became visible while the database was away stays with whoever has it for a moment, to say so", async () => {
    await withBroker(async (broker, logged) => {
      await broker.publish([message]);
      const holder = await collect(broker, { count: 1, maxUnacknowledged: 1 });
      const other = await collect(broker, { acknowledge: true });
      const run = (text: string) => database.sql.query({ name: "", text }, []);
      await run("alter table broker_message rename to hidden");
      await waitFor(() => logged.some((text) => text.includes("could not be claimed")));
      await waitFor(
        async () => (await run("select from hidden where visible_at < now() - interval '1 second'")).length === 1,
      );
      await run("alter table hidden rename to broker_message");
      await broker.publish([{ ...message, subject: "a.new" }]);
      await waitFor(() => other.messages.some(({ subject }) => subject === "a.new"));
      expect(other.messages).toHaveLength(1);
      holder.messages[0]!.ack();
      await waitFor(async () => (await run("select from broker_message")).length === 0);
    }, 2_000);
  });

  test("a message that was given to somebody else in the meantime stays with them when it is given back", async () => {
    await withBroker(async (broker) => {
      await broker.publish([message]);
      const slow = await collect(broker, { count: 1 });
      await slow.consumer.stop();
      const quick = await collect(broker, { count: 1, maxUnacknowledged: 1 });
      const [held] = quick.messages;
      expect(held!.deliveryCount).toBeGreaterThan(slow.messages[0]!.deliveryCount);
      slow.messages[0]!.nak(0);
      const rest = await collect(broker, { acknowledge: true });
      const waiting = async () =>
        (await database.sql.query({ name: "", text: "select from broker_message" }, [])).length;
      // What was given back is written down together with these acknowledgements, or before them.
      for (const subject of ["another.one", "the.end"]) {
        await broker.publish([{ ...message, subject }]);
        await waitFor(() => rest.messages.some((received) => received.subject === subject));
        await waitFor(async () => (await waiting()) === 1);
      }
      expect(rest.messages.map(({ subject }) => subject)).toEqual(["another.one", "the.end"]);
      held!.ack();
      await waitFor(async () => (await waiting()) === 0);
    }, 5_000);
  });

  test("what is recorded waits for a publisher whose messages came before, and are not committed yet", async () => {
    await withBroker(async (broker) => {
      const commit = Promise.withResolvers<void>();
      const other = database.sql.transaction(async (transaction) => {
        await transaction.query(publishMessages, [["a.first"], ["{}"], [""]]);
        begun.resolve();
        await commit.promise;
      });
      const begun = Promise.withResolvers<void>();
      await begun.promise;
      await broker.publish([{ ...message, subject: "a.second" }]);
      const collected = await collect(broker, { count: 1, acknowledge: true });
      expect(collected.messages[0]!.subject).toBe("a.second");
      await waitFor(async () => {
        const [waiting] = await database.sql.query({ name: "", text: "select 1 from broker_message" }, []);
        return waiting === undefined;
      });
      const recordedThrough = broker.recordedThrough();
      const text = `select 1 from pg_locks join pg_database on pg_database.oid = database
        where locktype = 'advisory' and not granted and datname = current_database()`;
      await waitFor(async () => (await database.sql.query({ name: "", text }, [])).length === 1);
      await collected.consumer.stop();
      commit.resolve();
      await other;
      expect((await recordedThrough).through).toBeLessThan(collected.messages[0]!.sequence - 1);
    });
  });

  test("a message that the database refuses fails its own publisher only", async () => {
    await withBroker(async (broker) => {
      const refused = { ...message, subject: "not\u0000text" };
      const published = await Promise.allSettled([message, refused, message].map((next) => broker.publish([next])));
      expect(published.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      await collect(broker, { count: 2 });
    });
  });

  // Vacuumed to its last page, the table is planned for by its size; with a page left in which nothing is, as if there were one row.
  test.each([
    { idle: "whose table is empty to its last page", vacuum: "vacuum (analyze) broker_message" },
    { idle: "whose table has pages with nothing in them", vacuum: "vacuum (truncate false, analyze) broker_message" },
  ])("a burst into a broker that was idle, and $idle, is claimed by index", async ({ vacuum }) => {
    await withBroker(async (broker) => {
      const run = (text: string) => database.sql.query({ name: "", text }, []);
      const idle = await collect(broker, { acknowledge: true });
      for (let count = 1; count <= 20; count++) {
        await broker.publish([message]);
        await waitFor(() => idle.messages.length === count);
      }
      await idle.consumer.stop();
      await waitFor(async () => {
        const left = await run("select from broker_message");
        return left.length === 0;
      });
      await run(vacuum);
      const burst = `insert into broker_message (subject, headers, body)
        select 'a.b', '{}', '{}' from generate_series(1, 150000)`;
      await run(burst);
      const options = { maxBatch: 500, maxUnacknowledged: 10_000, acknowledge: true };
      // By index it takes a second on a quiet machine; a plan for an empty table takes minutes on any.
      const collected = await collect(broker, { ...options, count: 20_000, timeoutMs: 25_000 });
      await collected.consumer.stop();
    });
  });

  test("rejected messages are removed after seven days", async () => {
    const insert = `insert into broker_rejected (subject, headers, body, reason, rejected_at)
      values ('old', '{}', '', 'BAD_JSON', now() - interval '8 days'), ('new', '{}', '', 'BAD_JSON', now() - interval '6 days')`;
    await database.sql.query({ name: "insert_rejected", text: insert }, []);
    await withBroker(async () => {
      const rows = await database.sql.query({ name: "rejected", text: "select subject from broker_rejected" }, []);
      expect(rows).toEqual([{ subject: "new" }]);
    });
  });
});

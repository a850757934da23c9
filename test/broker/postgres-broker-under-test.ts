import type { Broker, OutgoingMessage } from "../../src/broker/broker.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { Sql } from "../../src/store/sql.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";

/** The Postgres broker on a migrated database, whose tables of the broker are emptied after each test. */
export async function postgresBrokerUnderTest(sql: Sql): Promise<BrokerUnderTest> {
  const opened: Broker[] = [];
  return {
    subjectPrefix: "tellwire",
    async open({ ackWaitMs = 30_000, pollIntervalMs = 1_000 } = {}) {
      const broker = await openPostgresBroker(sql, { log: () => {}, ackWaitMs, pollIntervalMs });
      opened.push(broker);
      return broker;
    },
    async rejected() {
      const text = "select subject, headers::text as headers, body from broker_rejected order by sequence";
      const rows = await sql.query<OutgoingMessage & { headers: string }>({ name: "test_rejected", text }, []);
      return rows.map((row) => ({ ...row, headers: JSON.parse(row.headers) }));
    },
    async clear() {
      await Promise.all(opened.splice(0).map((broker) => broker.close()));
      await sql.query({ name: "test_clear_messages", text: "delete from broker_message" }, []);
      await sql.query({ name: "test_clear_rejected", text: "delete from broker_rejected" }, []);
    },
  };
}

import { describe, expect, test } from "vitest";
import type { Broker, IncomingMessage, OutgoingMessage } from "../../src/broker/broker.ts";
import { waitFor } from "../support/wait-for.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";
import { withBroker } from "./with-broker.ts";

/** What every broker promises of how many messages are out at a time. */
export function brokerWindowContract(name: string, start: () => Promise<BrokerUnderTest>): void {
  describe(`${name} keeps to what may be out at a time`, () => {
    let subjectPrefix: string;
    let broker: Broker;
    withBroker(start, (underTest, itsBroker) => {
      ({ subjectPrefix } = underTest);
      broker = itsBroker;
    });

    const numbered = (count: number): OutgoingMessage[] =>
      Array.from({ length: count }, (_, index) => ({
        subject: `${subjectPrefix}.events.org.invoice.paid`,
        headers: {},
        body: Buffer.from(`${index}`),
      }));

    test.for([
      ["maxUnacknowledged", { maxUnacknowledged: 50 }],
      ["the present limit", { maxUnacknowledged: 60, presentLimit: () => 50 }],
    ] as const)("no more than %s are out at a time, and each acknowledgement lets others come", async ([, limits]) => {
      await broker.publish(numbered(300));
      const open = new Set<IncomingMessage>();
      let most = 0;
      const seen = new Set<string>();
      const consumer = await broker.consume({ maxBatch: 20, maxUnacknowledgedBytes: 1e8, ...limits }, (batch) => {
        for (const received of batch) {
          open.add(received);
          seen.add(received.place);
        }
        most = Math.max(most, open.size);
      });
      await waitFor(() => open.size === 50, { what: "a full window" });
      while (seen.size < 300) {
        for (const received of [...open].slice(0, 7)) {
          open.delete(received);
          received.ack();
        }
        await waitFor(() => open.size >= Math.min(40, 300 - seen.size), { what: "more messages" });
      }
      expect(most).toBe(50);
      await consumer.stop();
    });

    test("whoever says how many may be out is told when more are left than that", async () => {
      const told: number[] = [];
      const presentLimit = (waiting: () => number): number => {
        told.push(waiting());
        return 50;
      };
      await broker.publish(numbered(300));
      let isAcknowledging = false;
      const open: IncomingMessage[] = [];
      const limits = { maxBatch: 20, maxUnacknowledged: 60, maxUnacknowledgedBytes: 1e8, presentLimit };
      const consumer = await broker.consume(limits, (batch) => {
        for (const received of batch) {
          if (isAcknowledging) received.ack();
          else open.push(received);
        }
      });
      await waitFor(() => open.length === 50, { what: "a full window" });
      open.pop()?.ack();
      await waitFor(() => (told.at(-1) ?? 0) >= 240, { what: "word of what is left" });
      isAcknowledging = true;
      for (const received of open.splice(0)) received.ack();
      // It asks when it may ask for more, and not once more when there is none.
      await waitFor(() => (told.at(-1) ?? 300) <= 40, { what: "word that hardly any is left" });
      await consumer.stop();
    });

    test.for([
      ["about so many bytes are out at a time", 1_000_000, 3, 1_300_000],
      ["one message at a time is out where it is larger than the bound", 10_000, 1, 100_000],
    ] as const)(
      "%s, and each acknowledgement lets others come",
      async ([, maxUnacknowledgedBytes, atLeast, mostExpected]) => {
        await broker.publish(
          numbered(60).map(({ body, ...rest }) => ({ ...rest, body: Buffer.concat([body], 100_000) })),
        );
        const open = new Set<IncomingMessage>();
        let most = 0;
        const seen = new Set<string>();
        const consumer = await broker.consume(
          { maxBatch: 20, maxUnacknowledged: 1_000, maxUnacknowledgedBytes },
          (batch) => {
            for (const received of batch) {
              open.add(received);
              seen.add(received.place);
            }
            const bytes = [...open].reduce((sum, { body }) => sum + body.byteLength, 0);
            most = Math.max(most, bytes);
          },
        );
        while (seen.size < 60 || open.size > 0) {
          const more = 60 - seen.size;
          await waitFor(() => open.size >= Math.min(atLeast, open.size + more), { what: "as many as may be out" });
          const [received] = open;
          open.delete(received!);
          received!.ack();
        }
        expect(most).toBeLessThanOrEqual(mostExpected);
        expect(most).toBeGreaterThanOrEqual(atLeast * 100_000);
        await consumer.stop();
      },
    );
  });
}

import { monitorEventLoopDelay } from "node:perf_hooks";
import { describe, expect, test } from "vitest";
import type { Broker, OutgoingMessage } from "../../src/broker/broker.ts";
import { waitFor } from "../support/wait-for.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";
import { type Collected, collect } from "./collect.ts";
import { withBroker } from "./with-broker.ts";

/** What every broker promises, whatever it is made of. */
export function brokerContract(name: string, start: () => Promise<BrokerUnderTest>): void {
  describe(`${name} keeps the contract of brokers`, () => {
    let underTest: BrokerUnderTest;
    let broker: Broker;
    withBroker(start, (itsUnderTest, itsBroker) => {
      underTest = itsUnderTest;
      broker = itsBroker;
    });

    const message = (body: string, headers: Record<string, string> = {}): OutgoingMessage => ({
      subject: `${underTest.subjectPrefix}.events.org.invoice.paid`,
      headers,
      body: Buffer.from(body),
    });
    const numbered = (count: number): OutgoingMessage[] =>
      Array.from({ length: count }, (_, index) => message(`${index}`));
    const ackAll = ({ messages }: Collected): void => {
      for (const received of messages) {
        received.ack();
      }
    };
    /** Sees whether anything is left: what is left comes before a message that follows, or is out with somebody, and not recorded. */
    const leftOver = async (from: Broker): Promise<string[]> => {
      await from.publish([message("the end")]);
      const rest = await collect(from);
      await waitFor(() => rest.bodies().includes("the end"), { what: "the last message" });
      await rest.consumer.stop();
      ackAll(rest);
      const last = Math.max(...rest.messages.map(({ sequence }) => sequence));
      await waitFor(async () => (await from.recordedThrough()).through >= last, { what: "the record of everything" });
      return rest.bodies().filter((body) => body !== "the end");
    };

    test("a published message is consumed with its subject, headers and bytes as they were", async () => {
      const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
      const headers = { "ce-id": "order 1 – ü", "Tellwire-Project": "a b", traceparent: "x" };
      const before = Date.now();
      await broker.publish([{ ...message(""), headers, body: bytes }]);
      const { messages } = await collect(broker, { count: 1 });
      const [received] = messages;
      expect(received).toMatchObject({ subject: message("").subject, headers, deliveryCount: 1 });
      expect(Buffer.from(received!.body)).toEqual(Buffer.from(bytes));
      expect(received!.place).toMatch(/\S/);
      expect(received!.publishedAt.getTime()).toBeGreaterThan(before - 5_000);
      expect(received!.publishedAt.getTime()).toBeLessThan(Date.now() + 5_000);
    });

    test("a message without headers and body is consumed", async () => {
      await broker.publish([message("")]);
      const { messages } = await collect(broker, { count: 1 });
      expect(messages[0]).toMatchObject({ headers: {} });
      expect(messages[0]!.body.byteLength).toBe(0);
    });

    test("messages published one after another are consumed in that order", async () => {
      for (const next of numbered(20)) {
        await broker.publish([next]);
      }
      const collected = await collect(broker, { count: 20 });
      expect(collected.bodies()).toEqual(numbered(20).map(({ body }) => Buffer.from(body).toString()));
    });

    test("messages published at once stand in the order of the calls", async () => {
      await Promise.all(numbered(300).map((next) => broker.publish([next])));
      const collected = await collect(broker, { count: 300 });
      const inOrder = collected.messages.toSorted((one, other) => one.sequence - other.sequence);
      expect(inOrder.map(({ body }) => Buffer.from(body).toString())).toEqual(
        numbered(300).map((_, index) => `${index}`),
      );
    });

    test("of a batch, messages with one ordering key stand in their order", async () => {
      const keyed = (body: string) => message(body, { "tellwire-ordering-key": `key ${Number(body) % 2}` });
      await broker.publish(numbered(100).map(({ body }) => keyed(Buffer.from(body).toString())));
      const collected = await collect(broker, { count: 100 });
      const inOrder = collected.messages.toSorted((one, other) => one.sequence - other.sequence);
      const numbers = inOrder.map(({ body }) => Number(Buffer.from(body).toString()));
      for (const parity of [0, 1]) {
        const ofKey = numbers.filter((number) => number % 2 === parity);
        expect(ofKey).toEqual(ofKey.toSorted((one, other) => one - other));
      }
    });

    test("a waiting consumer gets a message well before the next poll", async () => {
      await underTest.clear();
      broker = await underTest.open({ pollIntervalMs: 3_600_000, ackWaitMs: 3_600_000 });
      const collected = await collect(broker);
      for (const body of ["first", "second"]) {
        await broker.publish([message(body)]);
        await waitFor(() => collected.bodies().includes(body));
      }
    });

    test("5,000 messages published at once are consumed once each, in batches of at most maxBatch", async () => {
      await broker.publish(numbered(5_000));
      const collected = await collect(broker, { maxBatch: 300, maxUnacknowledged: 5_000, count: 5_000 });
      expect(new Set(collected.bodies()).size).toBe(5_000);
      expect(new Set(collected.messages.map(({ place }) => place)).size).toBe(5_000);
      expect(Math.max(...collected.batchSizes)).toBeLessThanOrEqual(300);
      expect(Math.min(...collected.batchSizes)).toBeGreaterThan(0);
    });

    test("a message that was acknowledged never comes again", async () => {
      await underTest.clear();
      broker = await underTest.open({ ackWaitMs: 300 });
      await broker.publish(numbered(100));
      const collected = await collect(broker, { count: 100 });
      const { messages } = collected;
      const kept = messages.reduce((one, other) => (one.sequence > other.sequence ? one : other));
      const others = () => messages.filter(({ place }) => place !== kept.place);
      await waitFor(async () => {
        for (const received of others()) received.ack();
        return (await broker.recordedThrough()).through === kept.sequence - 1;
      });
      // What was on its way comes before the one that was not acknowledged; once that one is back again, the others would be too.
      const timesSeen = () => messages.length - others().length;
      const seenBefore = timesSeen();
      await waitFor(() => timesSeen() > seenBefore);
      const othersBefore = others().length;
      await waitFor(() => timesSeen() > seenBefore + 1);
      expect(others()).toHaveLength(othersBefore);
    });

    test("a message that is given back comes again after the delay, at the same place, counted", async () => {
      await underTest.clear();
      // By the delay alone, and neither by a poll nor because nobody acknowledged it.
      broker = await underTest.open({ pollIntervalMs: 3_600_000, ackWaitMs: 3_600_000 });
      await broker.publish([message("again")]);
      const collected = await collect(broker, { count: 1 });
      const start = performance.now();
      // A fraction of a nanosecond too: nats-server takes such a delay for none.
      collected.messages[0]!.nak(250 + 1 / 3);
      await waitFor(() => collected.messages.length === 2);
      expect(performance.now() - start).toBeGreaterThan(240);
      const [first, second] = collected.messages;
      expect(second).toMatchObject({ place: first!.place, publishedAt: first!.publishedAt, deliveryCount: 2 });
    });

    test("what was handed out and not acknowledged comes again after the wait, to whoever consumes then", async () => {
      await underTest.clear();
      const crashing = await underTest.open({ ackWaitMs: 400 });
      await crashing.publish(numbered(3));
      const before = await collect(crashing, { count: 3 });
      before.messages[0]!.ack();
      await before.consumer.stop();
      await crashing.close();

      const next = await underTest.open({ ackWaitMs: 400 });
      const after = await collect(next);
      await waitFor(() => new Set(after.bodies()).size === 2);
      expect(new Set(after.bodies())).toEqual(new Set(["1", "2"]));
      expect(after.messages.every(({ deliveryCount }) => deliveryCount > 1)).toBe(true);
    });

    test("an acknowledgement just before closing is not lost", async () => {
      await broker.publish(numbered(50));
      const collected = await collect(broker, { count: 50 });
      ackAll(collected);
      await broker.close();
      expect(await leftOver(await underTest.open())).toEqual([]);
    });

    test("acknowledging or giving back a second time changes nothing", async () => {
      await broker.publish([message("once")]);
      const collected = await collect(broker, { count: 1 });
      collected.messages[0]!.ack();
      collected.messages[0]!.nak(0);
      collected.messages[0]!.ack();
      await broker.close();
      expect(await leftOver(await underTest.open())).toEqual([]);
    });

    test("a stopped consumer hands out nothing more", async () => {
      const stopped = await collect(broker);
      await broker.publish([message("before")]);
      await waitFor(() => stopped.messages.length === 1);
      stopped.messages[0]!.ack();
      await stopped.consumer.stop();
      await broker.publish([message("after")]);
      const other = await collect(broker, { count: 1 });
      expect(other.bodies()).toEqual(["after"]);
      expect(stopped.bodies()).toEqual(["before"]);
    });

    test("messages that arrive while a consumer stops are left for the next one at once", async () => {
      await broker.publish(numbered(500));
      const first = await collect(broker, { maxBatch: 10, maxUnacknowledged: 100 });
      await waitFor(() => first.messages.length > 0);
      await first.consumer.stop();
      ackAll(first);
      const rest = 500 - first.messages.length;
      const second = await collect(broker, { count: rest, maxUnacknowledged: 1_000, timeoutMs: 20_000 });
      expect(new Set([...first.bodies(), ...second.bodies()]).size).toBe(500);
    });

    test("two consumers share the messages, and none comes to both", async () => {
      const other = await underTest.open();
      const one = await collect(broker, { maxBatch: 50, acknowledge: true });
      const two = await collect(other, { maxBatch: 50, acknowledge: true });
      await broker.publish(numbered(2_000));
      await waitFor(() => one.messages.length + two.messages.length >= 2_000);
      expect(new Set([...one.bodies(), ...two.bodies()]).size).toBe(2_000);
      expect(one.messages.length + two.messages.length).toBe(2_000);
    });

    test("what is recorded reaches to the first message that is not acknowledged, and on when it is", async () => {
      const before = (await broker.recordedThrough()).through;
      await broker.publish(numbered(1));
      await broker.publish(numbered(1));
      await broker.publish(numbered(1));
      const collected = await collect(broker, { count: 3 });
      const [first, second, third] = collected.messages.toSorted((one, other) => one.sequence - other.sequence);
      expect(first!.sequence).toBeGreaterThan(before);
      expect((await broker.recordedThrough()).through).toBe(first!.sequence - 1);
      third!.ack();
      first!.ack();
      await waitFor(async () => (await broker.recordedThrough()).through === first!.sequence, {
        what: "the first message",
      });
      second!.nak(100);
      await waitFor(() => collected.messages.length === 4);
      expect((await broker.recordedThrough()).through).toBe(first!.sequence);
      collected.messages[3]!.ack();
      await waitFor(async () => (await broker.recordedThrough()).through === third!.sequence, { what: "all three" });
    });

    test("what is recorded does not reach to messages that nobody was given yet", async () => {
      await broker.publish(numbered(2));
      const collected = await collect(broker, { count: 2, acknowledge: true });
      await collected.consumer.stop();
      const last = Math.max(...collected.messages.map(({ sequence }) => sequence));
      await waitFor(async () => (await broker.recordedThrough()).through === last);
      await broker.publish(numbered(1));
      expect((await broker.recordedThrough()).through).toBe(last);
    });

    test("what is recorded never reaches to a message that comes later, however many publish and consume", async () => {
      const other = await underTest.open();
      const marks: number[] = [];
      const tooLate: number[] = [];
      const consume = async (from: Broker) =>
        await from.consume({ maxBatch: 20, maxUnacknowledged: 100, maxUnacknowledgedBytes: 1e8 }, (batch) => {
          const mark = marks.at(-1) ?? 0;
          for (const received of batch) {
            if (received.sequence <= mark) {
              tooLate.push(received.sequence);
            }
            received.ack();
          }
          seen += batch.length;
        });
      let seen = 0;
      const consumers = [await consume(broker), await consume(other)];
      const publishing = [broker, other].map(async (publisher) => {
        for (const next of numbered(150)) {
          await publisher.publish([next]);
        }
      });
      while (seen < 300) {
        marks.push((await broker.recordedThrough()).through);
      }
      await Promise.all([...publishing, ...consumers.map((consumer) => consumer.stop())]);
      expect(tooLate).toEqual([]);
      expect(marks).toEqual(marks.toSorted((one, following) => one - following));
    });

    test("a message that is still in work does not come again, until nobody says so any more", async () => {
      await underTest.clear();
      broker = await underTest.open({ ackWaitMs: 2_000 });
      const stalls = monitorEventLoopDelay();
      stalls.enable();
      await broker.publish([message("worked on")]);
      const collected = await collect(broker, { count: 1 });
      const [worked] = collected.messages;
      const saying = setInterval(() => worked!.working(), 200);
      await broker.publish([message("forgotten")]);
      const again = (body: string): boolean => collected.bodies().slice(1).includes(body);
      // By then the other one, which came later, was waited for twice as long.
      await waitFor(() => collected.bodies().filter((body) => body === "forgotten").length >= 3);
      clearInterval(saying);
      stalls.disable();
      // A process that stood still could not say so.
      if (stalls.max < 1e9) expect(again("worked on")).toBe(false);
      await waitFor(() => again("worked on"), { what: "the message that nobody works on any more" });
    });

    test("to say that a message is in work changes nothing when it is acknowledged", async () => {
      await broker.publish([message("done")]);
      const { messages } = await collect(broker, { count: 1 });
      messages[0]!.ack();
      messages[0]!.working();
      await broker.close();
      expect(await leftOver(await underTest.open())).toEqual([]);
    });

    test("a message that nobody understands is kept with its reason, and does not come again", async () => {
      await broker.publish([message("{", { "ce-id": "x", "Nats-Msg-Id": "1" })]);
      const { messages } = await collect(broker, { count: 1 });
      await broker.reject(messages[0]!, "BAD_JSON", "the body\r\nis no JSON");
      const [kept, ...others] = await underTest.rejected();
      expect(others).toEqual([]);
      expect(kept).toMatchObject({
        subject: `${underTest.subjectPrefix}.rejected.events.org.invoice.paid`,
        headers: {
          "ce-id": "x",
          "Tellwire-Original-Nats-Msg-Id": "1",
          "Tellwire-Original-Subject": message("").subject,
          "Tellwire-Reject-Reason": "BAD_JSON",
          "Tellwire-Reject-Detail": "the body is no JSON",
        },
      });
      expect(Buffer.from(kept!.body).toString()).toBe("{");
      await broker.close();
      expect(await leftOver(await underTest.open())).toEqual([]);
    });

    test("ping succeeds on an open broker", async () => {
      await expect(broker.ping()).resolves.toBeUndefined();
    });

    test("publishing nothing succeeds", async () => {
      await broker.publish([]);
      expect(await leftOver(broker)).toEqual([]);
    });
  });
}

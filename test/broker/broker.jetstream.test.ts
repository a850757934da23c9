import { AckPolicy, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import type { Broker, OutgoingMessage } from "../../src/broker/broker.ts";
import { type JetStreamOptions, openJetStream } from "../../src/broker/jetstream.ts";
import { type NatsNames, removeStreams, startNats, uniqueNatsNames } from "../support/nats.ts";
import { waitFor } from "../support/wait-for.ts";
import { brokerContract } from "./broker.contract.ts";
import { brokerWindowContract } from "./broker-window.contract.ts";
import { collect } from "./collect.ts";
import { jetStreamBrokerUnderTest, storedMessages } from "./jetstream-broker-under-test.ts";

let nats: NatsConnection;
let manager: JetStreamManager;
beforeAll(async () => {
  nats = await connect({ servers: inject("natsUrl") });
  manager = await jetstreamManager(nats, { timeout: 60_000 });
});
afterAll(async () => {
  await nats.close();
});

brokerContract("the JetStream broker", () => Promise.resolve(jetStreamBrokerUnderTest()));
brokerWindowContract("the JetStream broker", () => Promise.resolve(jetStreamBrokerUnderTest()));

describe("the JetStream broker", () => {
  let names: NatsNames;
  let logged: string[];
  let opened: Broker[];
  beforeEach(() => {
    names = uniqueNatsNames();
    logged = [];
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((broker) => broker.close()));
    await removeStreams(inject("natsUrl"), names);
  });

  const open = async (options: Partial<JetStreamOptions> = {}): Promise<Broker> => {
    const log = (_level: string, message: string): void => void logged.push(message);
    const broker = await openJetStream({ url: inject("natsUrl"), ...names, timeoutMs: 60_000, log, ...options });
    opened.push(broker);
    return broker;
  };
  const subject = (): string => `${names.subjectPrefix}.events.org.invoice.paid`;
  const message = (body: string): OutgoingMessage => ({ subject: subject(), headers: {}, body: Buffer.from(body) });

  test("the stream and the consumer are created with settings that keep every event until it is acknowledged", async () => {
    await open();
    const { config: stream } = await manager.streams.info(names.stream);
    expect(stream).toMatchObject({
      subjects: [`${names.subjectPrefix}.events.>`],
      retention: "limits",
      storage: "file",
      discard: "new",
      max_age: 7 * 86_400 * 1e9,
      max_msgs: -1,
      max_bytes: -1,
      duplicate_window: 100e6,
    });
    const { config: consumer } = await manager.consumers.info(names.stream, names.consumer);
    expect(consumer).toMatchObject({
      ack_policy: "explicit",
      ack_wait: 30e9,
      max_deliver: -1,
      max_ack_pending: 20_000,
    });
    const { config: rejected } = await manager.streams.info(names.rejectedStream);
    expect(rejected).toMatchObject({ subjects: [`${names.subjectPrefix}.rejected.>`], max_age: 7 * 86_400 * 1e9 });
    expect(logged).toEqual([]);
  });

  test("several processes open it at once, and again later, and keep what is there", async () => {
    await Promise.all([open(), open(), open()]);
    await opened[0]!.publish([message("kept")]);
    const again = await open();
    const { bodies } = await collect(again, { count: 1 });
    expect(bodies()).toEqual(["kept"]);
  });

  test("settings that an operator chose are left as they are, and risky ones are named in the log", async () => {
    await manager.streams.add({
      name: names.stream,
      subjects: [`${names.subjectPrefix}.events.>`],
      storage: "memory",
      discard: "old",
      max_age: 3_600e9,
      max_bytes: 1e8,
      duplicate_window: 120e9,
    });
    await manager.consumers.add(names.stream, {
      durable_name: names.consumer,
      ack_policy: AckPolicy.Explicit,
      max_ack_pending: 77,
    });
    await open();
    const { config: stream } = await manager.streams.info(names.stream);
    expect(stream).toMatchObject({ storage: "memory", discard: "old", max_age: 3_600e9, max_bytes: 1e8 });
    expect((await manager.consumers.info(names.stream, names.consumer)).config.max_ack_pending).toBe(77);
    expect(logged).toEqual([
      expect.stringContaining("set discard to new"),
      expect.stringContaining("kept in memory"),
      expect.stringContaining("shorten duplicate_window"),
    ]);
  });

  test("a stream with more subjects is shared: only events come to the consumer", async () => {
    const orders = `${names.subjectPrefix}.orders`;
    await manager.streams.add({ name: names.stream, subjects: [orders, `${names.subjectPrefix}.events.>`] });
    const broker = await open();
    await jetstream(nats).publish(orders, "an order");
    await broker.publish([message("an event")]);
    const { bodies } = await collect(broker, { count: 1 });
    expect(bodies()).toEqual(["an event"]);
  });

  const streamThat = (config: object) => ({
    name: names.stream,
    subjects: [`${names.subjectPrefix}.events.>`],
    ...config,
  });
  test.each([
    ["retention", "workqueue", { retention: "workqueue" }],
    ["retention", "interest", { retention: "interest" }],
    ["max_msgs_per_subject", "5", { max_msgs_per_subject: 5 }],
    ["no_ack", "true", { no_ack: true }],
    ["subjects", "elsewhere.*", { subjects: ["elsewhere.*"] }],
  ])("a stream whose %s is %s is refused, and the error names both and the fix", async (setting, found, config) => {
    const unique = JSON.parse(JSON.stringify(config).replace("elsewhere", names.subjectPrefix));
    await manager.streams.add(streamThat(unique));
    const error: Error = await open().catch((caught) => caught);
    expect(error).toMatchObject({ name: "TellwireError", reason: "INCOMPATIBLE_STREAM" });
    expect(error.message).toContain(names.stream);
    expect(error.message).toContain(setting);
    expect(error.message).toContain(found.replace("elsewhere", names.subjectPrefix));
    expect(error.message).toMatch(/needs .+ Edit it, or remove it/);
  });

  test.each([
    ["ack_policy", "none", { ack_policy: "none" }],
    ["ack_policy", "all", { ack_policy: "all" }],
    ["max_deliver", "3", { max_deliver: 3 }],
    ["deliver_subject", "somewhere", { deliver_subject: "somewhere" }],
    ["filter_subject", "events.one", { filter_subject: "PREFIX.events.one.>" }],
    ["replay_policy", "original", { replay_policy: "original" }],
    ["headers_only", "true", { headers_only: true }],
    ["inactive_threshold", "60000000000", { inactive_threshold: 60e9 }],
  ])("a consumer whose %s is %s is refused, and the error names both and the fix", async (setting, found, config) => {
    const unique = JSON.parse(JSON.stringify(config).replace("PREFIX", names.subjectPrefix));
    await manager.streams.add(streamThat({}));
    await manager.consumers.add(names.stream, { durable_name: names.consumer, ack_policy: "explicit", ...unique });
    const error: Error = await open().catch((caught) => caught);
    expect(error).toMatchObject({ name: "TellwireError", reason: "INCOMPATIBLE_STREAM" });
    expect(error.message).toContain(names.consumer);
    expect(error.message).toContain(setting);
    expect(error.message).toContain(found);
  });

  test("a stream of somebody else on our subjects is an error that says so", async () => {
    await manager.streams.add(streamThat({ name: names.rejectedStream }));
    await expect(open()).rejects.toMatchObject({
      reason: "INCOMPATIBLE_STREAM",
      message: expect.stringContaining("another stream has subjects of"),
    });
  });

  test("a message as large as the server takes is published, and kept as far as possible when it is rejected", async () => {
    const broker = await open();
    const max = nats.info!.max_payload;
    const body = "x".repeat(max - 100);
    await broker.publish([{ ...message(body), headers: { name: "value" } }]);
    const { messages } = await collect(broker, { count: 1 });
    await broker.reject(messages[0]!, "TOO_LARGE", "large");
    const [kept] = await storedMessages(names.rejectedStream);
    expect(kept!.headers).toMatchObject({ name: "value", "Tellwire-Truncated": `body was ${body.length} bytes` });
    expect(kept!.body.byteLength).toBeGreaterThan(max - 1_000);
  });

  test("a message that is larger than the server takes is refused before anything of its batch is sent", async () => {
    const broker = await open();
    const large = message("x".repeat(nats.info!.max_payload + 1));
    await expect(broker.publish([message("small"), large])).rejects.toMatchObject({
      reason: "INVALID_FIELDS",
      message: expect.stringContaining("max_payload"),
    });
    expect((await manager.streams.info(names.stream)).state.messages).toBe(0);
  });

  test("publishing fails where the stream is full, and nothing that waits is dropped for it", async () => {
    const broker = await open();
    const { config } = await manager.streams.info(names.stream);
    await manager.streams.update(names.stream, { ...config, max_msgs: 2 });
    await broker.publish([message("1"), message("2")]);
    await expect(broker.publish([message("3")])).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
    const { bodies } = await collect(broker, { count: 2 });
    expect(bodies()).toEqual(["1", "2"]);
  });

  test("what was removed from the front of the stream comes no more, and holds nothing back", async () => {
    const broker = await open();
    await broker.publish([message("1"), message("2"), message("3")]);
    expect((await broker.recordedThrough()).through).toBe(0);
    const { messages } = await collect(broker, { count: 3 });
    messages[1]!.ack();
    // The acknowledgement and the purge go by two connections.
    await waitFor(async () => (await manager.consumers.info(names.stream, names.consumer)).num_ack_pending === 2);
    await manager.streams.purge(names.stream, { seq: 3 });
    await waitFor(async () => (await broker.recordedThrough()).through === 2);
    messages[2]!.ack();
    await waitFor(async () => (await broker.recordedThrough()).through === 3);
    await manager.streams.purge(names.stream);
    expect((await broker.recordedThrough()).through).toBe(3);
  });

  test("what is purged by hand while it is in work counts as recorded, and does not come again when it is given back", async () => {
    const broker = await open();
    await broker.publish([message("1"), message("2")]);
    const collected = await collect(broker, { count: 2 });
    await manager.streams.purge(names.stream);
    await waitFor(async () => (await broker.recordedThrough()).through === 2);
    for (const each of collected.messages.splice(0)) each.nak(0);
    await broker.publish([message("3")]);
    await waitFor(() => collected.bodies().includes("3"));
    expect(collected.bodies()).toEqual(["3"]);
  });

  test("two organizations may use the same Nats-Msg-Id", async () => {
    const broker = await open();
    const publish = async (organization: string): Promise<void> => {
      const told = headers();
      told.set("Nats-Msg-Id", "1");
      await jetstream(nats).publish(`${names.subjectPrefix}.events.${organization}.paid`, "{}", { headers: told });
    };
    await publish("one");
    await waitFor(async () => {
      await publish("two");
      return (await manager.streams.info(names.stream)).state.messages === 2;
    });
    const { messages } = await collect(broker, { count: 2 });
    expect(messages.map((received) => received.subject.split(".")[2])).toEqual(["one", "two"]);
  });

  test("a message whose header names are none comes with the reason why its headers are missing", async () => {
    const broker = await open();
    const told = headers();
    // The client library refuses such names; other languages' libraries do not.
    (told as unknown as { headers: Map<string, string[]> }).headers.set("my header", ["1"]);
    await jetstream(nats).publish(subject(), "{}", { headers: told });
    const { messages } = await collect(broker, { count: 1 });
    expect(messages[0]).toMatchObject({ headers: {}, headersProblem: expect.stringContaining("header name") });
  });

  test("headers that stand several times are joined", async () => {
    const broker = await open();
    const told = headers();
    told.append("a", "1");
    told.append("a", "2");
    await jetstream(nats).publish(subject(), "{}", { headers: told });
    const { messages } = await collect(broker, { count: 1 });
    expect(messages[0]!.headers).toEqual({ a: "1, 2" });
  });

  test("a header may have a name that means something to JavaScript", async () => {
    const broker = await open();
    const told = headers();
    told.append("__proto__", "1");
    told.append("constructor", "2");
    await jetstream(nats).publish(subject(), "{}", { headers: told });
    const { messages } = await collect(broker, { count: 1 });
    expect(Object.entries(messages[0]!.headers)).toEqual([
      ["__proto__", "1"],
      ["constructor", "2"],
    ]);
  });

  test("a consumer that somebody deletes is made again, and goes on", async () => {
    const broker = await open();
    const collected = await collect(broker, { acknowledge: true });
    await broker.publish([message("before")]);
    await waitFor(() => collected.messages.length === 1);
    await manager.consumers.delete(names.stream, names.consumer);
    await broker.publish([message("after")]);
    await waitFor(() => collected.bodies().includes("after"));
    expect(logged).toContain(`pulling from the consumer ${names.consumer} failed; trying again`);
  });

  test("a message that cannot be kept as rejected is not acknowledged, and the missing stream is made again", async () => {
    const broker = await open();
    await broker.publish([message("{")]);
    const { messages } = await collect(broker, { count: 1 });
    await manager.streams.delete(names.rejectedStream);
    await broker.reject(messages[0]!, "BAD_JSON", "no JSON");
    expect(logged).toEqual([expect.stringContaining("could not be kept")]);
    expect((await manager.consumers.info(names.stream, names.consumer)).num_ack_pending).toBe(1);
    await waitFor(() => manager.streams.info(names.rejectedStream).catch(() => false));
  });

  test("no server at the address is an error that names it, without the password", async () => {
    const error: Error = await open({ url: "nats://user:secret@127.0.0.1:1" }).catch((caught) => caught);
    expect(error).toMatchObject({ reason: "BROKER_UNAVAILABLE", message: expect.stringContaining("127.0.0.1:1") });
    expect(error.message).not.toContain("secret");
  });

  test.each(["", "nats://", "nats://a:4222,,", "nats://a:x"])(
    "the URL '%s' is an error of the configuration",
    async (url) => {
      await expect(open({ url })).rejects.toMatchObject({ reason: "CONFIG_INVALID" });
    },
  );

  test("one server of several is enough", async () => {
    const broker = await open({ url: `nats://127.0.0.1:1, ${inject("natsUrl")}` });
    await expect(broker.ping()).resolves.toBeUndefined();
  });
});

describe("the JetStream broker and a server that crashes", () => {
  test("what was published before a crash is delivered after it, and the consumer goes on", async () => {
    const server = await startNats();
    const logged: string[] = [];
    const options = { url: server.url, ...uniqueNatsNames(), timeoutMs: 3_000, heartbeatMs: 1_000 };
    const broker = await openJetStream({ ...options, log: (_level, message) => void logged.push(message) });
    const subject = `${options.subjectPrefix}.events.org.type`;
    const publish = async (count: number): Promise<void> =>
      await broker.publish(
        Array.from({ length: count }, (_, index) => ({ subject, headers: {}, body: Buffer.from(`${count}:${index}`) })),
      );
    try {
      const idle = await collect(broker, { acknowledge: true });
      await publish(3);
      await waitFor(() => idle.messages.length === 3);
      await idle.consumer.stop();
      await publish(500);
      await server.kill();
      await waitFor(() => logged.some((message) => message.includes("is lost")));
      await expect(broker.ping()).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
      await expect(publish(1)).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });

      const waiting = await collect(broker, { acknowledge: true });
      await server.restart();
      // What was acknowledged before may come again too.
      await waitFor(() => new Set(waiting.bodies().filter((body) => body.startsWith("500:"))).size === 500);

      await server.kill();
      await server.restart();
      await waitFor(
        async () =>
          await broker.ping().then(
            () => true,
            () => false,
          ),
      );
      await publish(7);
      await waitFor(() => waiting.bodies().includes("7:6"));
    } finally {
      await broker.close();
      await server.stop();
    }
  });

  test("closing does not wait for a server that is gone", async () => {
    const server = await startNats();
    const broker = await openJetStream({ url: server.url, ...uniqueNatsNames(), timeoutMs: 3_000, log: () => {} });
    await collect(broker);
    await server.kill();
    // It never comes back.
    await broker.close();
    await server.stop();
  });
});

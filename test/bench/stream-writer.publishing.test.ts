import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { openStreamWriter } from "../../bench/processes/stream-writer.ts";
import { patienceMs, removeStreams, uniqueNatsNames } from "../support/nats.ts";
import { waitFor } from "../support/wait-for.ts";

const url = inject("natsUrl");
const names = uniqueNatsNames();

beforeAll(async () => {
  const connection = await connect({ servers: url, timeout: patienceMs });
  const manager = await jetstreamManager(connection, { timeout: patienceMs });
  await manager.streams.add({ name: names.stream, subjects: [`${names.subjectPrefix}.>`] });
  await connection.close();
});
afterAll(() => removeStreams(url, names));

it("what the bench publishes is in the stream with its id and its data, and each answer is told of", async () => {
  let answers = 0;
  const refusals: Error[] = [];
  const writer = await openStreamWriter(url, (refusal) => {
    if (refusal === undefined) answers += 1;
    else refusals.push(refusal);
  });
  const count = 2_000;
  for (let number = 0; number < count; number++) {
    writer.publish(`${names.subjectPrefix}.${number % 3}`, `id-${number}`, JSON.stringify({ number }));
  }
  // Known by its id: answered, and not stored again.
  writer.publish(`${names.subjectPrefix}.0`, "id-0", "{}");
  await waitFor(() => answers === count + 1, { what: "the stream's answers" });
  expect(refusals).toEqual([]);

  const connection = await connect({ servers: url, timeout: patienceMs });
  const manager = await jetstreamManager(connection, { timeout: patienceMs });
  expect((await manager.streams.info(names.stream)).state.messages).toBe(count);
  const last = await manager.streams.getMessage(names.stream, { seq: count });
  expect(last?.json()).toEqual({ number: count - 1 });
  expect(last?.header.get("Nats-Msg-Id")).toBe(`id-${count - 1}`);
  await connection.close();
  writer.close();
});

it("an event that no stream takes is told of as refused", async () => {
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  const writer = await openStreamWriter(url, resolve);
  writer.publish(`nobody.${names.subjectPrefix}`, "id", "{}");
  expect(String(await promise)).toContain("the stream refused an event");
  writer.close();
});

import { afterEach, beforeEach, expect, it } from "vitest";
import type { PublishEventStreamResponse } from "../../gen/tellwire/v1/event_service_pb.ts";
import type { Broker, OutgoingMessage } from "../../src/broker/broker.ts";
import { publicId } from "../../src/domain/ids.ts";
import { invalidFields } from "../../src/errors.ts";
import { createUseCases } from "../../src/usecases/use-cases.ts";
import { operator } from "../support/principals.ts";
import { startApi, type TestApi } from "./start-api.ts";

let inner: TestApi;
let api: TestApi;
let batches: OutgoingMessage[][];
beforeEach(async () => {
  inner = await startApi();
  batches = [];
  const broker: Broker = {
    ...inner.broker,
    async publish(messages) {
      if (messages.some(({ body }) => body.byteLength > 100_000)) {
        throw invalidFields({ field: "data", description: "is larger than the broker takes" });
      }
      await inner.broker.publish(messages);
      batches.push([...messages]);
    },
  };
  api = await startApi({ broker });
});
afterEach(async () => {
  await api.close();
  await inner.close();
});

it("the events of a stream reach the broker in their order, many at once, and each is answered", async () => {
  // Organizations that nobody has asked for before have to be looked up first: events behind them must not overtake.
  const elsewhere = createUseCases(api.dependencies);
  const names = ["a", "b", "c", "d", "e"];
  const created = names.map((name) => elsewhere.organizations.create(operator, { name }));
  const organizations = (await Promise.all(created)).map(({ id }) => publicId("organization", id));
  const count = 2_000;
  const answers = await publish(
    Array.from({ length: count }, (_, index) => ({
      organizationId: organizations[index % 5] ?? "",
      id: `event-${index}`,
      type: "a",
      dataJson: Buffer.from("{}"),
    })),
  );
  const ids = batches.flat().map(({ headers }) => headers["ce-id"]);
  expect(ids).toEqual(Array.from({ length: count }, (_, index) => `event-${index}`));
  expect(batches.length).toBeLessThan(count / 10);
  expect(answers.map(({ index, result }) => [index, result.case])).toEqual(
    Array.from({ length: count }, (_, index) => [BigInt(index), "eventId"]),
  );
});

it("an event that is refused, by its checks or by the broker, holds up none of the others", async () => {
  const { id: organizationId } = await api.addOrganization();
  const event = (id: string, values: object = {}) => ({
    organizationId,
    id,
    type: "a",
    dataJson: Buffer.from("{}"),
    ...values,
  });
  const answers = await publish([
    event("one"),
    event("bad", { dataJson: Buffer.from("{") }),
    event("two"),
    event("large", { dataJson: Buffer.from(`"${"x".repeat(150_000)}"`) }),
    event("three"),
  ]);
  expect(answers.map(({ result }) => result.case)).toEqual(["eventId", "error", "eventId", "error", "eventId"]);
  expect(batches.flat().map(({ headers }) => headers["ce-id"])).toEqual(["one", "two", "three"]);
});

async function publish(events: readonly object[]): Promise<PublishEventStreamResponse[]> {
  async function* requests() {
    for (const event of events) yield { event };
  }
  const answers: PublishEventStreamResponse[] = [];
  for await (const answer of api.operator.events.publishEventStream(requests())) answers.push(answer);
  return answers;
}

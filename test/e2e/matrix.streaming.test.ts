import { type DescMethodBiDiStreaming, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EventService, PublishEventStreamResponseSchema } from "../../gen/tellwire/v1/event_service_pb.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { messageOf, openStreamDoors, type StreamDoor } from "./matrix-doors.ts";
import { detailTypes, normalize, type Outcome, type SeenError, statusError } from "./matrix-outcome.ts";
import { createWorld, type World } from "./matrix-world.ts";

const method: DescMethodBiDiStreaming = EventService.method.publishEventStream;

let tellwire: TellwireProcess;
let world: World;
let doors: StreamDoor[];

beforeAll(async () => {
  tellwire = await startTellwire(tellwireSettings());
  world = await createWorld(tellwire, "http://127.0.0.1:1/", () => {});
  doors = openStreamDoors(tellwire);
});
afterAll(async () => {
  for (const door of doors ?? []) door.close();
  await tellwire?.stop();
});

const event = (fields: object = {}) => ({ event: { type: "unheard", dataJson: Buffer.from("{}"), ...fields } });

test("each event is answered by itself, in order, and one that is refused has its reason", async () => {
  const requests = [
    event(),
    event({ type: "a b" }),
    {},
    event({ organizationId: world.other.id }),
    event({ id: "of the publisher" }),
    event({ id: "of-the-publisher" }),
  ];
  const outcome = await throughEveryDoor(world.own.key, requests);
  const results = (outcome as { answer: JsonValue[] }).answer.map(resultOf);
  expect(results).toMatchObject([
    { index: 0n, eventId: expect.stringMatching(/^evt_/) },
    { index: 1n, error: { code: "INVALID_ARGUMENT", reason: "INVALID_FIELDS", violations: [{ field: "event.type" }] } },
    { index: 2n, error: { code: "INVALID_ARGUMENT", reason: "INVALID_FIELDS", violations: [{ field: "event" }] } },
    { index: 3n, error: { code: "NOT_FOUND", reason: "ORGANIZATION_NOT_FOUND" } },
    { index: 4n, error: { code: "INVALID_ARGUMENT", reason: "INVALID_FIELDS", violations: [{ field: "event.id" }] } },
    { index: 5n, eventId: expect.stringMatching(/^evt_/) },
  ]);
});

test("an operator names the organization of each event, which must exist", async () => {
  const nobody = "org_01k3a9q7j8f0vb2m4n6p8r1s3t";
  const requests = [event({ organizationId: world.own.id }), event(), event({ organizationId: nobody })];
  const outcome = await throughEveryDoor(world.operatorKey, requests);
  expect((outcome as { answer: JsonValue[] }).answer.map(resultOf)).toMatchObject([
    { eventId: expect.stringMatching(/^evt_/) },
    { error: { code: "INVALID_ARGUMENT", reason: "ORGANIZATION_REQUIRED" } },
    { error: { code: "NOT_FOUND", reason: "ORGANIZATION_NOT_FOUND" } },
  ]);
});

test("a call without requests has no answers", async () => {
  expect(await throughEveryDoor(world.own.key, [])).toEqual({ answer: [] });
});

test("without a key, or with a wrong one, the call is refused", async () => {
  expect(await throughEveryDoor(undefined, [event()])).toMatchObject({
    error: { code: "UNAUTHENTICATED", reason: "KEY_MISSING" },
  });
  expect(await throughEveryDoor("twk_wrong", [event()])).toMatchObject({
    error: { code: "UNAUTHENTICATED", reason: "KEY_INVALID" },
  });
});

/** The outcome of a stream, which must be the same through every door but for what is new in each call. The first door's is as it came. */
async function throughEveryDoor(key: string | undefined, requests: readonly object[]): Promise<Outcome> {
  const outcomes: [name: string, outcome: Outcome][] = [];
  for (const door of doors) {
    const messages = requests.map((fields) => messageOf(method, fields));
    outcomes.push([door.name, await door.call(method, messages, key)]);
  }
  const first = outcomes[0]![1];
  expect(Object.fromEntries(outcomes.map(([name, outcome]) => [name, normalize(outcome)]))).toEqual(
    Object.fromEntries(outcomes.map(([name]) => [name, normalize(first)])),
  );
  return first;
}

/** What one answer says, its error read as the errors of calls are. */
function resultOf(answer: JsonValue): { index: bigint; eventId?: string; error?: SeenError } {
  const { index, result } = fromJson(PublishEventStreamResponseSchema, answer as JsonObject, { registry: detailTypes });
  if (result.case === "eventId") return { index, eventId: result.value };
  if (result.case === "error") return { index, error: statusError(result.value) };
  throw new Error(`no result: ${JSON.stringify(answer)}`);
}

import { isDeepStrictEqual } from "node:util";
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";
import { cases } from "./matrix-cases.ts";
import { contract } from "./matrix-contract.ts";
import { type Door, messageOf, openDoors } from "./matrix-doors.ts";
import { codeName, normalize, type Outcome } from "./matrix-outcome.ts";
import { createWorld, type World } from "./matrix-world.ts";

const unary = [...contract].filter((entry): entry is [string, DescMethodUnary] => entry[1].methodKind === "unary");

let tellwire: TellwireProcess;
let receiver: Receiver;
let world: World;
let doors: Door[];

beforeAll(async () => {
  receiver = await startReceiver((request) =>
    request.method === "POST" ? { status: 200, body: "thanks" } : echoChallenge(request),
  );
  // Every call that passes the interceptors is logged at this level.
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_LOG_LEVEL: "debug" }));
  world = await createWorld(tellwire, receiver.url, countCall);
  doors = openDoors(tellwire);
});
afterAll(async () => {
  for (const door of doors ?? []) door.close();
  await tellwire?.stop();
  await receiver?.close();
});

test("every RPC of the contract has a case, and no case is left over", () => {
  expect(Object.keys(cases).sort()).toEqual(unary.map(([name]) => name).sort());
  const others = [...contract].filter(([, method]) => method.methodKind !== "unary").map(([name]) => name);
  // matrix.streaming.test.ts
  expect(others).toEqual(["EventService/PublishEventStream"]);
});

for (const [name, method] of unary) {
  const each = cases[name];
  if (each === undefined) continue;
  describe(name, () => {
    const { invalid, foreign, unknown, operatorOnly, as } = each;
    const keyOf = (): string => (as === "operator" ? world.operatorKey : world.own.key);

    test("a call that succeeds has the same answer through every door", async () => {
      const outcome = await throughEveryDoor(method, keyOf(), async () => await each.success(world));
      expect(outcome).toEqual({ answer: expect.anything() });
    });

    test("invalid fields are named in the same words", async () => {
      const outcome = await throughEveryDoor(method, keyOf(), () => invalid.request);
      expect(outcome).toMatchObject({ error: { code: "INVALID_ARGUMENT", reason: "INVALID_FIELDS" } });
      expect(violatedFields(outcome)).toEqual(invalid.fields);
    });

    test("without a key, or with a wrong one, nothing is told but that", async () => {
      const without = await throughEveryDoor(method, undefined, () => invalid.request);
      expect(without).toMatchObject({ error: { code: "UNAUTHENTICATED", reason: "KEY_MISSING", violations: [] } });
      const wrong = await throughEveryDoor(method, "twk_wrong", () => invalid.request);
      expect(wrong).toMatchObject({ error: { code: "UNAUTHENTICATED", reason: "KEY_INVALID", violations: [] } });
    });

    if (foreign !== undefined) {
      test("what belongs to another organization does not exist", async () => {
        const { request, reason } = await foreign(world);
        const outcome = await throughEveryDoor(method, world.own.key, () => request);
        expect(outcome).toMatchObject({ error: { code: "NOT_FOUND", reason } });
      });
    }

    if (unknown !== undefined) {
      test("an id that nothing has", async () => {
        const { request, reason } = unknown;
        const outcome = await throughEveryDoor(method, world.operatorKey, () => request);
        expect(outcome).toMatchObject({ error: { code: "NOT_FOUND", reason } });
      });
    }

    if (operatorOnly !== undefined) {
      test("an organization's key may not", async () => {
        const outcome = await throughEveryDoor(method, world.own.key, () => operatorOnly(world));
        expect(outcome).toMatchObject({ error: { code: "PERMISSION_DENIED", reason: "OPERATOR_REQUIRED" } });
      });
    }
  });
}

test("the interceptors saw each call once, and its code, whichever door it came through", async () => {
  await waitFor(() => isDeepStrictEqual(loggedCalls(), calls)).catch(() => expect(loggedCalls()).toEqual(calls));
  expect(Object.keys(calls).filter((call) => call.endsWith(" OK"))).toHaveLength(unary.length);
});

/** How often each RPC was called in this file, with which code. */
const calls: Record<string, number> = {};

function countCall(rpc: string, code: string): void {
  calls[`${rpc} ${code}`] = (calls[`${rpc} ${code}`] ?? 0) + 1;
}

/** The same, as the interceptors reported it to the log. */
function loggedCalls(): Record<string, number> {
  const logged: Record<string, number> = {};
  for (const line of tellwire.output().split("\n")) {
    const { msg, method, code } = JSON.parse(line) as { msg: string; method: string; code: number };
    if (msg !== "call") continue;
    const call = `${method.replace("tellwire.v1.", "")} ${codeName(code)}`;
    logged[call] = (logged[call] ?? 0) + 1;
  }
  return logged;
}

/** The outcome of a request, which must be the same through every door but for what is new in each call. */
async function throughEveryDoor(
  method: DescMethodUnary,
  key: string | undefined,
  makeRequest: () => Promise<object> | object,
): Promise<Outcome> {
  const outcomes: Record<string, unknown> = {};
  for (const door of doors) {
    const outcome = await door.call(method, messageOf(method, await makeRequest()), key);
    countCall(`${method.parent.name}/${method.name}`, "error" in outcome ? outcome.error.code : "OK");
    outcomes[door.name] = normalize(outcome);
  }
  const [first] = Object.values(outcomes);
  expect(outcomes).toEqual(Object.fromEntries(doors.map(({ name }) => [name, first])));
  return first as Outcome;
}

function violatedFields(outcome: Outcome): string[] {
  return "error" in outcome ? outcome.error.violations.map(({ field }) => field) : [];
}

import { randomUUID } from "node:crypto";
import {
  create,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodUnary,
  type Message,
} from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Scope, ScopeSchema } from "../../gen/tellwire/v1/access_pb.ts";
import { VerificationMethod } from "../../gen/tellwire/v1/webhook_pb.ts";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { type Callers, createCallers } from "./access-callers.ts";
import { callRoute, formatOf, parametersOf, type RouteIds, readDialectRoutes } from "./access-dialects.ts";
import { contractRuleOf, smallestRequest } from "./access-requests.ts";
import { type Snapshot, takeSnapshot } from "./access-snapshot.ts";
import { cases, type Refused } from "./matrix-cases.ts";
import { contract } from "./matrix-contract.ts";
import { openDoors, openStreamDoors } from "./matrix-doors.ts";
import type { Outcome } from "./matrix-outcome.ts";
import { createWorld, type World } from "./matrix-world.ts";

// Walks everything that can be called: each RPC through every protocol, as the descriptors of the contract have them, and each route of each
// dialect, as their tables have them. What is new is walked without anybody adding it here.

const routes = readDialectRoutes();

let testDatabase: TestDatabase;
let database: Database;
let tellwire: TellwireProcess;
let receiver: Receiver;
let world: World;
let callers: Callers;
let doors: WalkDoor[];
/** Requests about things of the other organization, and what they have to fail with, by RPC. */
const foreign = new Map<string, Refused>();
/** Ids of the other organization's things, by dialect. */
const theirs: Record<string, RouteIds> = {};
const own: Record<string, RouteIds> = {};
let before: Snapshot;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openTestPostgres(testDatabase.url, { maxConnections: 2 });
  receiver = await startReceiver((request) =>
    request.method === "POST" ? { status: 200, body: "" } : echoChallenge(request),
  );
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_DATABASE_URL: testDatabase.url }));
  doors = openAllDoors(tellwire);
  world = await createWorld(tellwire, receiver.url, () => {});
  callers = await createCallers(tellwire, database, world.own.id);
  for (const [name, rpcCase] of Object.entries(cases)) {
    if (rpcCase.foreign !== undefined) foreign.set(name, await rpcCase.foreign(world));
  }
  for (const dialect of Object.keys(formatOf)) {
    theirs[dialect] = await createThings(dialect, world.other.id);
    own[dialect] = await createThings(dialect, world.own.id);
  }
  before = await takeSnapshot(database);
});
afterAll(async () => {
  for (const door of doors ?? []) door.close();
  await tellwire?.stop();
  await receiver?.close();
  await database?.close();
  await testDatabase?.drop();
});

describe("every RPC, through every protocol", () => {
  for (const [name, method] of contract) {
    test(`${name} lets nobody in without a key that is valid now`, async () => {
      for (const [what, { key, reason }] of Object.entries(callers.refused)) {
        for (const [door, outcome] of await throughDoors(method, smallestRequest(method), key)) {
          expect([what, door, outcome]).toMatchObject([what, door, { error: { code: "UNAUTHENTICATED", reason } }]);
        }
      }
    });

    test(`${name} refuses a key that may do everything else`, async () => {
      const rule = contractRuleOf(method);
      expect(rule, "the contract says who may call it").toBeDefined();
      const isForOperators = rule === "operators only";
      const key = isForOperators ? world.own.key : callers.without(rule!);
      const reason = isForOperators ? "OPERATOR_REQUIRED" : "SCOPE_MISSING";
      for (const [door, outcome] of await throughDoors(method, smallestRequest(method), key)) {
        expect([door, outcome]).toMatchObject([door, { error: { code: "PERMISSION_DENIED", reason } }]);
      }
    });

    test(`${name} does not find what is another organization's`, async () => {
      const refused = foreign.get(name);
      if (refused === undefined) {
        const isForOperators = contractRuleOf(method) === "operators only";
        expect(isForOperators || namesNothing.includes(name), "a request that names nothing of anybody").toBe(true);
        return;
      }
      const { request, reason } = refused;
      for (const [door, outcome] of await throughDoors(
        method,
        create(method.input, request as Record<string, unknown>),
        world.own.key,
      )) {
        expect([door, outcome]).toMatchObject([door, { error: { code: "NOT_FOUND", reason } }]);
      }
    });
  }
});

describe("every route of every dialect", () => {
  for (const walked of routes) {
    const { name, dialect, route } = walked;
    const call = (key: string | undefined, ids: RouteIds) => callRoute(tellwire.httpUrl, walked, { key, ids });

    test(`${name} lets nobody in without a key that is valid now`, async () => {
      for (const [what, { key }] of Object.entries(callers.refused)) {
        expect([what, (await call(key, own[dialect.name]!)).status]).toEqual([what, 401]);
      }
    });

    test(`${name} refuses a key that may do everything else`, async () => {
      const { status, text } = await call(callers.without(scopeNumber(route.scope)), own[dialect.name]!);
      expect([status, text]).toEqual([403, expect.stringContaining(route.scope)]);
    });

    if (route.scopeOfBody !== undefined) {
      test(`${name} refuses a key that may do all of this but what the body asks for besides`, async () => {
        const body = { secret: "0123456789abcdef" };
        const besides = route.scopeOfBody?.(body);
        const key = callers.without(scopeNumber(besides ?? ""));
        const answer = await callRoute(tellwire.httpUrl, walked, { key, ids: own[dialect.name]!, body });
        expect([answer.status, answer.text]).toEqual([403, expect.stringContaining(besides ?? "no scope")]);
      });
    }

    test(`${name} does not find what is another organization's, and answers as if it were nowhere`, async () => {
      for (const parameter of parametersOf(route)) {
        const there = await call(world.own.key, {
          ...own[dialect.name],
          [parameter]: theirs[dialect.name]![parameter]!,
        });
        const nowhere = await call(world.own.key, { ...own[dialect.name], [parameter]: randomUUID() });
        expect([403, 404]).toContain(there.status);
        expect(anonymous(there)).toEqual(anonymous(nowhere));
      }
    });
  }
});

describe("after all of that", () => {
  test("nothing has changed", async () => {
    expect(await takeSnapshot(database)).toEqual(before);
  });

  test("no key's text stands in the log", () => {
    const output = tellwire.output();
    expect(output).toContain("tellwire is up");
    const texts = [...callers.texts, world.own.key, world.other.key, world.operatorKey];
    for (const { key } of Object.values(callers.refused)) texts.push(...(key === undefined ? [] : [key]));
    // The word stands for a text of the caller's own: it is in no other line of the log.
    expect(texts.filter((text) => output.includes(text))).toEqual([]);
  });
});

// From here on calls succeed, and some of them leave a trace.
describe("what an organization is shown", () => {
  const reading = routes.filter(({ route }) => route.method === "GET");
  test.each(reading.map((walked) => [walked.name, walked] as const))("is its own: %s", async (_name, walked) => {
    const { name } = walked.dialect;
    const answer = await callRoute(tellwire.httpUrl, walked, { key: world.own.key, ids: own[name]! });
    expect(answer.status).toBe(200);
    for (const id of Object.values(theirs[name]!)) expect(answer.text).not.toContain(id);
  });
});

describe("a key that has the one scope, and no other", () => {
  test.each([...contract])("is let in to %s", async (_name, method) => {
    const rule = contractRuleOf(method);
    const key = rule === "operators only" ? world.operatorKey : callers.onlyWith(rule!);
    for (const [door, outcome] of await throughDoors(method, smallestRequest(method), key)) {
      const code = "error" in outcome ? outcome.error.code : "OK";
      expect([door, code]).not.toEqual([door, "UNAUTHENTICATED"]);
      expect([door, code]).not.toEqual([door, "PERMISSION_DENIED"]);
    }
  });

  test.each(routes.map((walked) => [walked.name, walked] as const))("is let in to %s", async (_name, walked) => {
    const { dialect, route } = walked;
    const nowhere = Object.fromEntries(Object.keys(own[dialect.name]!).map((parameter) => [parameter, randomUUID()]));
    const ids = { ...nowhere, ...(own[dialect.name]!.app === undefined ? {} : { app: own[dialect.name]!.app! }) };
    const { status } = await callRoute(tellwire.httpUrl, walked, {
      key: callers.onlyWith(scopeNumber(route.scope)),
      ids,
    });
    expect([401, 403]).not.toContain(status);
  });
});

/** Lists of what the caller sees, whose requests cannot name anything of another organization. */
const namesNothing = ["OrganizationService/ListOrganizations", "EventService/PublishEventStream"];

interface WalkDoor {
  name: string;
  takes: DescMethod["methodKind"];
  call(method: DescMethod, request: Message, key: string | undefined): Promise<Outcome>;
  close(): void;
}

function openAllDoors(urls: TellwireProcess): WalkDoor[] {
  const unary = openDoors(urls).map(
    (door): WalkDoor => ({
      ...door,
      takes: "unary",
      call: (method, ...rest) => door.call(method as DescMethodUnary, ...rest),
    }),
  );
  const streams = openStreamDoors(urls).map(
    (door): WalkDoor => ({
      ...door,
      takes: "bidi_streaming",
      call: (method, request, key) => door.call(method as DescMethodBiDiStreaming, [request], key),
    }),
  );
  return [...unary, ...streams];
}

/** What comes of a call through each door that takes calls of its kind. There is one at least. */
async function throughDoors(method: DescMethod, request: Message, key: string | undefined) {
  const outcomes: [door: string, outcome: Outcome][] = [];
  for (const door of doors.filter(({ takes }) => takes === method.methodKind)) {
    outcomes.push([door.name, await door.call(method, request, key)]);
  }
  expect(outcomes).not.toEqual([]);
  return outcomes;
}

/** A webhook of the dialect's with a delivery, in the organization. */
async function createThings(dialect: string, organizationId: string): Promise<RouteIds> {
  const headers = { authorization: `Bearer ${tellwire.operatorKey}` };
  const transport = createConnectTransport({ baseUrl: tellwire.httpUrl, httpVersion: "1.1" });
  const webhooks = createClient(WebhookService, transport);
  const { webhook } = await webhooks.createWebhook(
    {
      webhook: {
        organizationId,
        name: `of ${dialect}`,
        url: receiver.url,
        eventTypes: ["nothing"],
        format: formatOf[dialect]!,
        verification: { method: VerificationMethod.VOUCHED },
      },
    },
    { headers },
  );
  const { deliveryId } = await webhooks.testWebhook({ id: webhook!.id }, { headers });
  const id = parseId("webhook", webhook!.id)!;
  const app = parseId("organization", organizationId)!;
  return { app, id, webhook: id, deliveryId: parseId("delivery", deliveryId)! };
}

function scopeNumber(scope: string): Scope {
  const name = scope.toUpperCase().replace(":", "_");
  return (ScopeSchema.values.find(({ localName }) => localName === name)?.number ?? Scope.UNSPECIFIED) as Scope;
}

/** An answer without ids, which are what was asked for, and the request's own. */
function anonymous({ status, text }: { status: number; text: string }): unknown {
  return [status, text.replaceAll(/\b(req|wh|org|dlv)_[0-9a-z]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "an id")];
}

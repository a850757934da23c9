import { type DescMethod, type DescService, fromJson } from "@bufbuild/protobuf";
import { timestampFromDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RecoveryScope } from "../../gen/tellwire/v1/recovery_pb.ts";
import { VerificationMethod } from "../../gen/tellwire/v1/webhook_pb.ts";
import { newUuid, publicId } from "../../src/domain/ids.ts";
import { contractServices } from "../support/contract-services.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { type Clients, errorOf, operatorKey, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
let receiver: Receiver;
/** What belongs to one organization, and the clients of another one. */
let theirs: Ids;
let stranger: Clients;
/** The same things, where they exist nowhere. */
let nowhere: Ids;

beforeAll(async () => {
  api = await startApi();
  receiver = await startReceiver(echoChallenge);
  const { id: organization, clients } = await api.addOrganization();
  const { webhook } = await api.operator.webhooks.createWebhook({
    webhook: webhookFor(receiver.url, {
      organizationId: organization,
      verification: { method: VerificationMethod.VOUCHED },
    }),
  });
  const { deliveryId, eventId } = await clients.webhooks.testWebhook({ id: webhook!.id });
  const { apiKeys } = await clients.organizations.listApiKeys({ organizationId: organization });
  const { auditEntries } = await clients.audit.listAuditEntries({});
  const request = { webhookId: webhook!.id, scope: RecoveryScope.FAILED, sinceTime };
  const { recovery } = await clients.deliveries.recoverDeliveries(request);
  theirs = {
    organization,
    webhook: webhook!.id,
    delivery: deliveryId,
    event: eventId,
    key: apiKeys[0]!.id,
    recovery: recovery!.id,
    auditEntry: auditEntries[0]!.id,
  };
  stranger = (await api.addOrganization()).clients;
  const missing = () => newUuid(api.dependencies.ids);
  nowhere = {
    organization: publicId("organization", missing()),
    webhook: publicId("webhook", missing()),
    delivery: publicId("delivery", missing()),
    event: publicId("event", missing()),
    key: publicId("apiKey", missing()),
    recovery: publicId("recovery", missing()),
    auditEntry: publicId("auditEntry", missing()),
  };
});
afterAll(async () => {
  await api.close();
  await receiver.close();
});

interface Ids {
  organization: string;
  webhook: string;
  delivery: string;
  event: string;
  key: string;
  recovery: string;
  auditEntry: string;
}

const data = fromJson(ValueSchema, {});
const sinceTime = timestampFromDate(new Date(0));

/** For each method what a stranger may ask that touches another organization's things, by what it touches. */
const questions: Record<string, Record<string, (clients: Clients, ids: Ids) => Promise<unknown>>> = {
  CreateWebhook: { organization: (c, i) => c.webhooks.createWebhook({ webhook: webhookFor(receiver.url, org(i)) }) },
  GetWebhook: byIdAndOrganization("webhook", (c, request) => c.webhooks.getWebhook(request)),
  ListWebhooks: { organization: (c, i) => c.webhooks.listWebhooks(org(i)) },
  UpdateWebhook: byIdAndOrganization("webhook", (c, webhook) =>
    c.webhooks.updateWebhook({ webhook: { ...webhook, description: "x" } }),
  ),
  DeleteWebhook: byIdAndOrganization("webhook", (c, request) => c.webhooks.deleteWebhook(request)),
  RotateWebhookSecret: byIdAndOrganization("webhook", (c, request) => c.webhooks.rotateWebhookSecret(request)),
  TestWebhook: byIdAndOrganization("webhook", (c, request) => c.webhooks.testWebhook(request)),
  VerifyWebhook: byIdAndOrganization("webhook", (c, request) => c.webhooks.verifyWebhook(request)),
  PauseWebhook: byIdAndOrganization("webhook", (c, request) => c.webhooks.pauseWebhook(request)),
  ResumeWebhook: byIdAndOrganization("webhook", (c, request) => c.webhooks.resumeWebhook(request)),
  PublishEvent: { organization: (c, i) => c.events.publishEvent({ event: { type: "a", data, ...org(i) } }) },
  PublishEvents: { organization: (c, i) => c.events.publishEvents({ events: [{ type: "a", data, ...org(i) }] }) },
  GetEvent: byIdAndOrganization("event", (c, request) => c.events.getEvent(request)),
  ListEvents: { organization: (c, i) => c.events.listEvents(org(i)) },
  GetDelivery: byIdAndOrganization("delivery", (c, request) => c.deliveries.getDelivery(request)),
  ListDeliveries: { organization: (c, i) => c.deliveries.listDeliveries(org(i)) },
  RetryDelivery: byIdAndOrganization("delivery", (c, request) => c.deliveries.retryDelivery(request)),
  CancelDelivery: byIdAndOrganization("delivery", (c, request) => c.deliveries.cancelDelivery(request)),
  RecoverDeliveries: byIdAndOrganization("webhook", (c, { id: webhookId, ...rest }) =>
    c.deliveries.recoverDeliveries({ webhookId, ...rest, scope: RecoveryScope.NEVER_SENT, sinceTime }),
  ),
  GetRecovery: byIdAndOrganization("recovery", (c, request) => c.deliveries.getRecovery(request)),
  ListRecoveries: { organization: (c, i) => c.deliveries.listRecoveries(org(i)) },
  CancelRecovery: byIdAndOrganization("recovery", (c, request) => c.deliveries.cancelRecovery(request)),
  GetOrganization: { organization: (c, i) => c.organizations.getOrganization({ id: i.organization }) },
  GetAuditEntry: byIdAndOrganization("auditEntry", (c, request) => c.audit.getAuditEntry(request)),
  ListAuditEntries: { organization: (c, i) => c.audit.listAuditEntries(org(i)) },
  GetOrganizationUsage: { organization: (c, i) => c.organizations.getOrganizationUsage(org(i)) },
  CreateApiKey: { organization: (c, i) => c.organizations.createApiKey(org(i)) },
  ListApiKeys: { organization: (c, i) => c.organizations.listApiKeys(org(i)) },
  CreatePortalToken: { organization: (c, i) => c.organizations.createPortalToken(org(i)) },
  RevokeApiKey: {
    organization: (c, i) => c.organizations.revokeApiKey({ ...org(i), id: i.key }),
    key: async (c, i) => {
      const { organizations } = await c.organizations.listOrganizations({});
      return await c.organizations.revokeApiKey({ organizationId: organizations[0]!.id, id: i.key });
    },
  },
};

/** These touch nothing of another organization by their request, or are for operators alone; each has a test of its own. */
const withoutQuestion = [
  "CreateOrganization",
  "ImportWebhooks",
  "ListOrganizations",
  "PublishEventStream",
  "UpdateOrganization",
];

const methods = contractServices.flatMap((service) =>
  service.methods.map((method): [DescService, DescMethod] => [service, method]),
);

it("every method of the contract is asked about", () => {
  const names = methods.map(([, { name }]) => name);
  expect([...Object.keys(questions), ...withoutQuestion].sort()).toEqual(names.sort());
});

describe("what belongs to another organization answers as if it did not exist", () => {
  for (const [method, asked] of Object.entries(questions)) {
    for (const [what, ask] of Object.entries(asked)) {
      it(`${method} by ${what}`, async () => {
        const foreign = await errorOf(ask(stranger, theirs));
        const missing = await errorOf(ask(stranger, nowhere));
        expect(foreign.code).toBe(Code.NotFound);
        expect(anonymous(foreign)).toEqual(anonymous(missing));
      });
    }
  }

  it("and nothing of it was changed by asking", async () => {
    const { webhook } = await api.operator.webhooks.getWebhook({ id: theirs.webhook });
    expect(webhook).toMatchObject({ description: "", statusReason: "" });
    expect(receiver.requests).toHaveLength(1);
    const { apiKeys } = await api.operator.organizations.listApiKeys({ organizationId: theirs.organization });
    expect(apiKeys).toMatchObject([{ id: theirs.key }]);
    expect(apiKeys[0]?.revokeTime).toBeUndefined();
  });
});

it("an operator who names the wrong organization does not find what is there", async () => {
  const { id: organizationId } = await api.addOrganization();
  for (const [method, { id }] of Object.entries(questionsById())) {
    const error = await errorOf(id(api.operator, { ...theirs, organization: organizationId }));
    expect([method, error.code]).toEqual([method, Code.NotFound]);
  }
});

it("lists show a key its own organization's things alone", async () => {
  const { organizations } = await stranger.organizations.listOrganizations({});
  expect(organizations).toHaveLength(1);
  expect(organizations[0]?.id).not.toBe(theirs.organization);
  expect((await stranger.webhooks.listWebhooks({})).webhooks).toEqual([]);
  expect((await stranger.events.listEvents({})).events).toEqual([]);
  expect((await stranger.deliveries.listDeliveries({ webhookId: theirs.webhook })).deliveries).toEqual([]);
  expect((await stranger.deliveries.listDeliveries({ eventId: theirs.event })).deliveries).toEqual([]);
  expect((await api.operator.deliveries.listDeliveries({ eventId: theirs.event })).deliveries).toHaveLength(1);
  expect((await stranger.deliveries.listRecoveries({ webhookId: theirs.webhook })).recoveries).toEqual([]);
  expect((await api.operator.deliveries.listRecoveries({ webhookId: theirs.webhook })).recoveries).toHaveLength(1);
  expect((await stranger.audit.listAuditEntries({ resourceId: theirs.webhook })).auditEntries).toEqual([]);
  expect((await api.operator.audit.listAuditEntries({ resourceId: theirs.webhook })).auditEntries).toHaveLength(2);
  expect((await api.operator.organizations.listOrganizations({})).organizations.length).toBeGreaterThan(1);
});

it("an event of a stream for another organization is refused as if that did not exist", async () => {
  async function* requests() {
    yield { event: { type: "a", data, organizationId: theirs.organization } };
  }
  for await (const { result } of stranger.events.publishEventStream(requests())) {
    expect(result).toMatchObject({ case: "error", value: { code: Code.NotFound } });
  }
  expect.assertions(1);
});

it("only an operator creates and changes organizations", async () => {
  const create = await errorOf(stranger.organizations.createOrganization({ organization: { name: "x" } }));
  expect(create).toMatchObject({ reason: "OPERATOR_REQUIRED", code: Code.PermissionDenied });
  const { organizations } = await stranger.organizations.listOrganizations({});
  const change = stranger.organizations.updateOrganization({ organization: { id: organizations[0]!.id, name: "x" } });
  expect((await errorOf(change)).reason).toBe("OPERATOR_REQUIRED");
});

describe("every method asks for a key", () => {
  it.each(methods)("%s %s", async (service, method) => {
    expect(await errorOf(callEmpty(service, method, {}))).toMatchObject({
      reason: "KEY_MISSING",
      code: Code.Unauthenticated,
    });
    expect((await errorOf(callEmpty(service, method, { "x-api-key": "twk_unknown" }))).reason).toBe("KEY_INVALID");
    expect((await errorOf(callEmpty(service, method, { authorization: "Basic YTpi" }))).reason).toBe("KEY_MISSING");
    const wrong = { authorization: `Bearer ${operatorKey}`, "x-api-key": "nonsense" };
    expect((await errorOf(callEmpty(service, method, wrong))).reason).toBe("KEY_INVALID");
  });
});

function org(ids: Ids): { organizationId: string } {
  return { organizationId: ids.organization };
}

/** A question by the id alone, and one by the id with its organization. */
function byIdAndOrganization(
  kind: keyof Ids,
  ask: (clients: Clients, request: { id: string; organizationId?: string }) => Promise<unknown>,
): Record<string, (clients: Clients, ids: Ids) => Promise<unknown>> {
  return {
    id: (clients, ids) => ask(clients, { id: ids[kind] }),
    "id and organization": (clients, ids) => ask(clients, { id: ids[kind], ...org(ids) }),
  };
}

function questionsById() {
  return Object.fromEntries(
    Object.entries(questions).flatMap(([method, asked]) => {
      const id = asked["id and organization"];
      return id === undefined ? [] : [[method, { id }]];
    }),
  );
}

/** An error without the ids, which are the only thing that may differ. */
function anonymous(error: object): unknown {
  return JSON.parse(JSON.stringify(error).replaceAll(/\b(org|wh|evt|dlv|key|rcv|aud)_[0-9a-z]{26}/g, "$1_…"));
}

async function callEmpty(service: DescService, method: DescMethod, headers: Record<string, string>): Promise<unknown> {
  const client = createClient(service, api.transport) as Record<string, (...call: unknown[]) => unknown>;
  const answer = client[method.localName]!(method.methodKind === "unary" ? {} : nothing(), { headers });
  if (method.methodKind === "unary") return await answer;
  for await (const _ of answer as AsyncIterable<unknown>) throw new Error("an answer was not expected");
  return undefined;
}

async function* nothing(): AsyncGenerator<never> {}

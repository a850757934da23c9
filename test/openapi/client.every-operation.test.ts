import type { JsonObject } from "@bufbuild/protobuf";
import axios, { type AxiosResponse } from "axios";
import { type OpenAPIClient, OpenAPIClientAxios } from "openapi-client-axios";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ReceivedRequest, type Receiver, startReceiver } from "../support/receiver.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  compileSchemas,
  type DocumentedOperation,
  type DocumentSchemas,
  operationsOf,
  pointer,
} from "./document-schemas.ts";

// A client of others that knows nothing but /openapi.json: names, parameters, bodies and answers are those of the document.

let tellwire: TellwireProcess;
let receiver: Receiver;
let document: JsonObject;
let operations: DocumentedOperation[];
let schemas: DocumentSchemas;
let operator: OpenAPIClient;
const called = new Set<string>();
/** The headers of limits that were seen. */
const told = new Set<string>();

beforeAll(async () => {
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_RATE_LIMIT_PER_KEY: "1000/s" }));
  receiver = await startReceiver(agree);
  operator = await createClient({ authorization: `Bearer ${tellwire.operatorKey}` });
  document = (await axios.get(`${tellwire.httpUrl}/openapi.json`)).data as JsonObject;
  operations = operationsOf(document);
  schemas = compileSchemas(document);
});
afterAll(async () => {
  await receiver?.close();
  await tellwire?.stop();
});

async function createClient(headers: Record<string, string>): Promise<OpenAPIClient> {
  const api = new OpenAPIClientAxios({
    definition: `${tellwire.httpUrl}/openapi.json`,
    withServer: { url: tellwire.httpUrl },
    // Lists as OpenAPI has them unless a document says otherwise (style form, exploded); axios by itself writes PHP's brackets.
    axiosConfigDefaults: { headers, validateStatus: () => true, paramsSerializer: { indexes: null } },
  });
  return await api.init();
}

/** Calls an operation. The answer must be the documented one: its status, and by the schema of that status. */
async function call<Answer = JsonObject>(
  client: OpenAPIClient,
  id: string,
  parameters: Record<string, string | number | string[]> = {},
  body?: unknown,
  status = 200,
): Promise<Answer> {
  const operation = operations.find((each) => each.id === id);
  const method = client[id];
  if (operation === undefined || method === undefined) throw new Error(`the document has no operation ${id}`);
  const response: AxiosResponse = await method(parameters, body);
  expect(`${id} ${response.status} ${response.status === status ? "" : JSON.stringify(response.data)}`).toBe(
    `${id} ${status} `,
  );
  const schema = schemas.answer(operation, status, String(response.headers["content-type"]).split(";")[0]);
  expect(schema, `${id} has no documented answer ${status}`).toBeDefined();
  expect(schemas.problems(schema!, response.data), id).toEqual([]);
  const answer = (operation.operation.responses as Record<string, JsonObject>)[status]!;
  const described = answer.$ref === undefined ? answer : componentOf(String(answer.$ref));
  for (const name of limitHeaders.filter((each) => each in response.headers)) {
    const names = Object.keys((described.headers ?? {}) as JsonObject).map((each) => each.toLowerCase());
    expect(names, `${id} ${status}`).toContain(name);
    told.add(name);
  }
  if (status === 200) called.add(id);
  return response.data as Answer;
}

const limitHeaders = ["ratelimit-policy", "ratelimit", "retry-after"];

/** What a reference within the document stands for. */
function componentOf(reference: string): JsonObject {
  const [, , kind = "", name = ""] = reference.split("/");
  return (document.components as Record<string, Record<string, JsonObject>>)[kind]![name]!;
}

/** The body that the document gives as an example. */
function exampleOf(id: string): JsonObject {
  const operation = operations.find((each) => each.id === id)?.operation as unknown as {
    requestBody: { content: { "application/json": { example: JsonObject } } };
  };
  return operation.requestBody.content["application/json"].example;
}

interface Ids {
  organization: string;
  webhook: string;
}
const ids: Ids = { organization: "", webhook: "" };
let customer: OpenAPIClient;
let keyId: string;

describe("every operation, from the document alone", () => {
  test("organizations and keys", async () => {
    const create = "OrganizationService_CreateOrganization";
    ids.organization = (await call<{ id: string }>(operator, create, {}, exampleOf(create))).id;
    await call(operator, "OrganizationService_GetOrganization", { id: ids.organization });
    await call(operator, "OrganizationService_GetOrganizationUsage", { organizationId: ids.organization });
    const listed = await call<{ organizations: unknown[] }>(operator, "OrganizationService_ListOrganizations", {
      pageSize: 1,
    });
    expect(listed.organizations).toHaveLength(1);
    const update = "OrganizationService_UpdateOrganization";
    const updated = await call<{ name: string }>(operator, update, { id: ids.organization }, exampleOf(update));
    expect(updated.name).toBe(exampleOf(update).name);

    const createKey = "OrganizationService_CreateApiKey";
    type Created = { apiKey: { id: string }; key: string };
    const organizationId = ids.organization;
    const { apiKey, key } = await call<Created>(operator, createKey, { organizationId }, exampleOf(createKey));
    keyId = apiKey.id;
    await call(operator, "OrganizationService_ListApiKeys", { organizationId });
    customer = await createClient({ "x-api-key": key });

    const createToken = "OrganizationService_CreatePortalToken";
    type Token = { token: string };
    const { token } = await call<Token>(operator, createToken, { organizationId }, exampleOf(createToken));
    await call(await createClient({ "x-api-key": token }), "WebhookService_ListWebhooks", {});
  });

  test("webhooks", async () => {
    const create = "WebhookService_CreateWebhook";
    const created = await call<{ webhook: { id: string } }>(
      customer,
      create,
      {},
      { ...exampleOf(create), url: receiver.url },
    );
    const { id } = created.webhook;
    ids.webhook = id;
    // The verification that begins by itself changes the webhook too, and its etag with it.
    await waitFor(
      async () => {
        const { status } = await call<{ status: string }>(customer, "WebhookService_GetWebhook", { id });
        return status === "WEBHOOK_STATUS_ACTIVE";
      },
      { what: "the verification that begins by itself" },
    );
    expect(
      await call(customer, "WebhookService_VerifyWebhook", { id }, exampleOf("WebhookService_VerifyWebhook")),
    ).toMatchObject({ verified: true });
    const { etag } = await call<{ etag: string }>(customer, "WebhookService_GetWebhook", { id });
    const update = "WebhookService_UpdateWebhook";
    const changed = { ...exampleOf(update), etag };
    expect(await call(customer, update, { id, updateMask: "eventTypes" }, changed)).toMatchObject({
      eventTypes: exampleOf(update).eventTypes,
    });
    const statuses = ["WEBHOOK_STATUS_ACTIVE", "WEBHOOK_STATUS_PAUSED"];
    const listed = await call<{ webhooks: unknown[] }>(customer, "WebhookService_ListWebhooks", { statuses });
    expect(listed.webhooks).toHaveLength(1);
    const tested = await call(customer, "WebhookService_TestWebhook", { id }, exampleOf("WebhookService_TestWebhook"));
    expect(tested).toMatchObject({ success: true });
    await call(customer, "WebhookService_RotateWebhookSecret", { id }, exampleOf("WebhookService_RotateWebhookSecret"));
    await call(customer, "WebhookService_PauseWebhook", { id }, exampleOf("WebhookService_PauseWebhook"));
  });

  test("public keys, by whoever asks", async () => {
    const rotation = { signingAlgorithm: "SIGNING_ALGORITHM_ED25519" };
    type Rotated = { publicKey: string };
    const rotate = "WebhookService_RotateWebhookSecret";
    const { publicKey } = await call<Rotated>(customer, rotate, { id: ids.webhook }, rotation);
    const anybody = await createClient({});
    const { keys } = await call<{ keys: { x: string }[] }>(anybody, "WebhookKeys_GetPublicKeys", { id: ids.webhook });
    expect(keys.map(({ x }) => `whpk_${Buffer.from(x, "base64url").toString("base64")}`)).toEqual([publicKey]);
    const unknown = { id: "wh_01k8djrfaefx88mtvwhpf0y6hb" };
    await call(anybody, "WebhookKeys_GetPublicKeys", unknown, undefined, 404);
  });

  test("an import, for whoever moves here", async () => {
    const move = "WebhookService_ImportWebhooks";
    const [given] = exampleOf(move).imports as { webhook: JsonObject }[];
    const webhook = { ...given!.webhook, organizationId: ids.organization, name: "Of the other system" };
    const answer = await call(operator, move, {}, { imports: [{ ...given, webhook }], validateOnly: true });
    expect(answer).toMatchObject({ results: [{ outcome: "WEBHOOK_IMPORT_OUTCOME_IMPORTED" }] });
  });

  test("events and deliveries", async () => {
    const publish = "EventService_PublishEvent";
    const { eventId } = await call<{ eventId: string }>(customer, publish, {}, exampleOf(publish));
    await call(customer, "EventService_PublishEvents", {}, exampleOf("EventService_PublishEvents"));
    type Listed = { deliveries?: { id: string }[] };
    const find = { webhookId: ids.webhook, eventId, statuses: ["DELIVERY_STATUS_SCHEDULED"] };
    const { id } = await waitFor(
      async () => (await call<Listed>(customer, "DeliveryService_ListDeliveries", find)).deliveries?.[0],
      { what: "the delivery of the paused webhook" },
    );
    const event = await call(customer, "EventService_GetEvent", { id: eventId });
    expect(event).toMatchObject({ data: exampleOf(publish).data });
    await call(customer, "EventService_ListEvents", { receivedAfter: "2025-01-01T00:00:00Z", type: "order.paid" });

    await call(customer, "DeliveryService_CancelDelivery", { id }, exampleOf("DeliveryService_CancelDelivery"));
    await call(
      customer,
      "WebhookService_ResumeWebhook",
      { id: ids.webhook },
      exampleOf("WebhookService_ResumeWebhook"),
    );
    await call(customer, "DeliveryService_RetryDelivery", { id }, exampleOf("DeliveryService_RetryDelivery"));
    type Delivery = { status: string; attempts?: unknown[] };
    const delivered = await waitFor(
      async () => {
        const delivery = await call<Delivery>(customer, "DeliveryService_GetDelivery", { id });
        return delivery.status === "DELIVERY_STATUS_DELIVERED" && delivery;
      },
      { what: "the delivery" },
    );
    expect(delivered.attempts).toHaveLength(1);
  });

  test("recoveries", async () => {
    const recover = "DeliveryService_RecoverDeliveries";
    type Recovery = { id: string; status: string };
    const { id } = await call<Recovery>(customer, recover, { webhookId: ids.webhook }, exampleOf(recover));
    await waitFor(
      async () => {
        const recovery = await call<Recovery>(customer, "DeliveryService_GetRecovery", { id });
        return recovery.status === "RECOVERY_STATUS_COMPLETED";
      },
      { what: "the recovery" },
    );
    const statuses = ["RECOVERY_STATUS_COMPLETED"];
    const listed = await call<{ recoveries: Recovery[] }>(customer, "DeliveryService_ListRecoveries", { statuses });
    expect(listed.recoveries).toMatchObject([{ id }]);
    const sinceTime = new Date(Date.now() - 5).toISOString();
    // The events of this moment are waited for, so there is time to cancel it.
    const never = { scope: "RECOVERY_SCOPE_NEVER_SENT", sinceTime };
    const running = await call<Recovery>(customer, recover, { webhookId: ids.webhook }, never);
    const cancel = "DeliveryService_CancelRecovery";
    const cancelled = await call<Recovery>(customer, cancel, { id: running.id }, exampleOf(cancel));
    expect(cancelled.status).toBe("RECOVERY_STATUS_CANCELLED");
  });

  test("the audit log", async () => {
    type Listed = { auditEntries: { id: string; action: string; resourceId: string }[] };
    const list = "AuditService_ListAuditEntries";
    const { auditEntries } = await call<Listed>(customer, list, { resourceId: ids.webhook, pageSize: 5 });
    const [newest] = auditEntries;
    expect(newest).toMatchObject({ resourceId: ids.webhook });
    expect(await call(customer, "AuditService_GetAuditEntry", { id: newest!.id })).toEqual(newest);
  });

  test("what fails is answered as documented", async () => {
    const unknown = { id: "wh_01k8djrfaefx88mtvwhpf0y6hb" };
    expect(await call(customer, "WebhookService_GetWebhook", unknown, undefined, 404)).toMatchObject({
      error: { details: [{ reason: "WEBHOOK_NOT_FOUND" }] },
    });
    await call(customer, "WebhookService_GetWebhook", { id: "nonsense" }, undefined, 400);
    await call(customer, "WebhookService_CreateWebhook", {}, { url: receiver.url, colour: "red" }, 400);
    await call(customer, "OrganizationService_CreateOrganization", {}, { name: "Mine" }, 403);
    await call(customer, "WebhookService_UpdateWebhook", { id: ids.webhook }, { name: "New", etag: "stale" }, 409);
    await call(await createClient({}), "WebhookService_ListWebhooks", {}, undefined, 401);
  });

  test("the end of it", async () => {
    await call(customer, "WebhookService_DeleteWebhook", { id: ids.webhook });
    const parameters = { organizationId: ids.organization, id: keyId };
    await call(operator, "OrganizationService_RevokeApiKey", parameters);
    await call(customer, "WebhookService_ListWebhooks", {}, undefined, 401);
  });

  test("no operation was left out, and the headers of limits were there", () => {
    expect([...told]).toEqual(expect.arrayContaining(["ratelimit-policy", "ratelimit"]));
    expect([...called].toSorted()).toEqual(operations.map(({ id }) => id).toSorted());
  });
});

describe("what receivers get is what the section webhooks says", () => {
  const formats = {
    event: "WEBHOOK_FORMAT_STANDARD",
    eventAsStructuredCloudEvent: "WEBHOOK_FORMAT_CLOUDEVENTS_STRUCTURED",
    eventAsBinaryCloudEvent: "WEBHOOK_FORMAT_CLOUDEVENTS_BINARY",
  };

  test("events in each format", async () => {
    for (const [name, format] of Object.entries(formats)) {
      const verification = { method: "VERIFICATION_METHOD_VOUCHED" };
      const webhook = {
        organizationId: ids.organization,
        url: `${receiver.url}/${name}`,
        eventTypes: ["*"],
        format,
        verification,
      };
      await call(operator, "WebhookService_CreateWebhook", {}, webhook);
    }
    const event = {
      organizationId: ids.organization,
      type: "order.paid",
      subject: "A-1042",
      data: { order: "A-1042" },
    };
    await call(operator, "EventService_PublishEvent", {}, event);
    for (const name of Object.keys(formats)) {
      expectDocumented(name, await received((request) => request.path.endsWith(`/${name}`)));
    }
  });

  test("the questions before them", async () => {
    expectDocumented("challenge", await received(({ method }) => method === "GET"));
    const verification = { method: "VERIFICATION_METHOD_CLOUDEVENTS" };
    const webhook = {
      organizationId: ids.organization,
      url: `${receiver.url}/handshake`,
      eventTypes: ["*"],
      verification,
    };
    await call(operator, "WebhookService_CreateWebhook", {}, webhook);
    expectDocumented("handshake", await received(({ method }) => method === "OPTIONS"));
  });
});

async function received(matches: (request: ReceivedRequest) => boolean): Promise<ReceivedRequest> {
  return await waitFor(() => receiver.requests.find(matches), { what: "the request" });
}

/** The method, every required parameter, and the body by its schema are those of the section. */
function expectDocumented(name: string, request: ReceivedRequest): void {
  const documented = operationsOf(document, "webhooks").find(({ path }) => path === name)!;
  expect(request.method).toBe(documented.method);
  const parameters = documented.operation.parameters as { name: string; in: string; required: boolean }[];
  const query = new URL(request.path, receiver.url).searchParams;
  for (const parameter of parameters) {
    const value = parameter.in === "query" ? query.get(parameter.name) : request.headers[parameter.name.toLowerCase()];
    if (parameter.required) expect(value, `${name}: ${parameter.name}`).toBeTruthy();
  }
  const { requestBody } = documented.operation as { requestBody?: { content: JsonObject } };
  if (requestBody === undefined) return;
  const [type = ""] = Object.keys(requestBody.content);
  expect(request.headers["content-type"]?.split(";")[0]).toBe(type);
  const at = `${documented.pointer}${pointer("requestBody", "content", type, "schema")}`;
  expect(schemas.problems(at, JSON.parse(request.body))).toEqual([]);
}

/** Agrees to be called, in either way, and takes everything. */
function agree({ method, path, headers }: ReceivedRequest) {
  const challenge = new URL(path, "http://receiver").searchParams.get("verification_challenge");
  if (method === "GET" && challenge !== null) return { status: 200, body: challenge };
  if (method !== "OPTIONS") return { status: 204 };
  return { status: 200, headers: { "webhook-allowed-origin": String(headers["webhook-request-origin"]) } };
}

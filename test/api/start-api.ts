import { randomBytes } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { type Client, ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AuditService } from "../../gen/tellwire/v1/audit_service_pb.ts";
import { DeliveryService } from "../../gen/tellwire/v1/delivery_service_pb.ts";
import { EventService } from "../../gen/tellwire/v1/event_service_pb.ts";
import { OrganizationService } from "../../gen/tellwire/v1/organization_service_pb.ts";
import { WebhookSchema } from "../../gen/tellwire/v1/webhook_pb.ts";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import { createCallChecks } from "../../src/api/call-checks.ts";
import type { ServerFailure } from "../../src/api/interceptors/error-interceptor.ts";
import type { RequestLogEntry } from "../../src/api/interceptors/request-log-interceptor.ts";
import { createRoutes } from "../../src/api/routes.ts";
import type { Broker } from "../../src/broker/broker.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { createAddressGuard } from "../../src/outbound/address-guard.ts";
import { createHttpClient } from "../../src/outbound/http-client.ts";
import type { Database } from "../../src/store/database.ts";
import type { Dependencies } from "../../src/usecases/dependencies.ts";
import { createUseCases, type UseCases } from "../../src/usecases/use-cases.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";

/** The use cases and the API on them, on a real database, a real broker and the loopback interface. */
export interface TestApi {
  database: Database;
  broker: Broker;
  dependencies: Dependencies;
  useCases: UseCases;
  secretBox: Dependencies["secretBox"];
  /** What `changes` was told, in order: an organization's UUID, or `lanes`. */
  changed: string[];
  serverFailures: ServerFailure[];
  requests: RequestLogEntry[];
  backgroundFailures: unknown[];
  /** Moves the clock of the use cases forward. */
  advance(ms: number): void;
  operator: Clients;
  /** The services as somebody with these headers sees them. */
  clients(headers: Record<string, string>): Clients;
  transport: Transport;
  /** A new organization with a key of its own. */
  addOrganization(): Promise<{ id: string; key: string; clients: Clients }>;
  close(): Promise<void>;
}

export interface Clients {
  webhooks: Client<typeof WebhookService>;
  events: Client<typeof EventService>;
  deliveries: Client<typeof DeliveryService>;
  organizations: Client<typeof OrganizationService>;
  audit: Client<typeof AuditService>;
}

export const operatorKey = "operator-key-of-the-tests-0123456789";

/** Receivers of tests answer from this same process, which may stand still for some seconds. */
const receiverTimeoutMs = 20_000;

export async function startApi(overrides: Partial<Dependencies> = {}): Promise<TestApi> {
  const testDatabase = await createTestDatabase();
  const database = await openTestPostgres(testDatabase.url, { maxConnections: 8 });
  const broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  const targetPolicy = {
    guard: createAddressGuard({ allow: ["127.0.0.0/8"], deny: [] }),
    allowHttp: true,
    allowPorts: [],
  };
  const httpClient = createHttpClient({ policy: targetPolicy, userAgent: "Tellwire/test" });
  const changed: string[] = [];
  const backgroundFailures: unknown[] = [];
  let aheadMs = 0;
  const secretsKeys = [randomBytes(32)];
  const dependencies: Dependencies = {
    database,
    broker,
    secretBox: createSecretBox({ keys: secretsKeys }),
    secretsKeys,
    httpClient,
    targetPolicy,
    changes: {
      webhooksChanged: (organizationId) => void changed.push(organizationId),
      lanesDue: () => void changed.push("lanes"),
    },
    ids: { now: () => Date.now() + aheadMs, randomBytes },
    operatorKeys: [operatorKey],
    externalTokens: undefined,
    clientIdentities: [],
    requestOrigin: "tellwire.test",
    defaultTimeoutMs: receiverTimeoutMs,
    maxPayloadBytes: 262_144,
    disableAfterMs: 5 * 24 * 60 * 60_000,
    verification: { timeoutMs: receiverTimeoutMs, pollIntervalMs: 50, concurrency: 8 },
    log: { backgroundFailure: (_what, error) => void backgroundFailures.push(error) },
    ...overrides,
  };
  const useCases = createUseCases(dependencies);
  const serverFailures: ServerFailure[] = [];
  const requests: RequestLogEntry[] = [];
  const shared = {
    validator: createValidator(),
    newRequestId: () => `request-${serverFailures.length}`,
    onServerError: (failure: ServerFailure) => void serverFailures.push(failure),
  };
  const transport = createRouterTransport(createRoutes(useCases, shared), {
    router: {
      interceptors: createCallChecks({
        ...shared,
        authenticate: useCases.authenticate,
        callLimits: useCases.callLimits,
        openServices: new Set(),
        onRequest: (entry) => void requests.push(entry),
        now: () => performance.now(),
      }).interceptors,
    },
  });
  const clients = (headers: Record<string, string>): Clients => clientsOn(withHeaders(transport, headers));
  const operator = clients({ authorization: `Bearer ${operatorKey}` });

  return {
    database,
    broker,
    dependencies,
    useCases,
    secretBox: dependencies.secretBox,
    changed,
    serverFailures,
    requests,
    backgroundFailures,
    advance: (ms) => {
      aheadMs += ms;
    },
    operator,
    clients,
    transport,
    async addOrganization() {
      const { organization } = await operator.organizations.createOrganization({ organization: { name: "Acme" } });
      const id = organization!.id;
      const { key } = await operator.organizations.createApiKey({ organizationId: id, apiKey: { name: "test" } });
      return { id, key, clients: clients({ "x-api-key": key }) };
    },
    async close() {
      await useCases.verificationWorker.stop({ graceMs: 1_000 });
      await useCases.recoveryWorker.stop();
      await useCases.operationalEventRelay.stop();
      await useCases.failingWebhookWorker.stop();
      await httpClient.close();
      await broker.close();
      await database.close();
      await testDatabase.drop();
    },
  };
}

/** A webhook for a creation: every event to this URL. */
export function webhookFor(url: string, values: Omit<MessageInitShape<typeof WebhookSchema>, "$typeName"> = {}) {
  return create(WebhookSchema, { url, eventTypes: ["*"], ...values });
}

/** An error as its reader sees it. */
export interface SeenError {
  code: number;
  reason: string;
  message: string;
  metadata: Record<string, string>;
  /** The description by the field. */
  fields: Record<string, string>;
  retryDelayMs: number | undefined;
}

/** What a call fails with; throws where it succeeds. */
export async function errorOf(call: Promise<unknown>): Promise<SeenError> {
  const thrown = await call.then(
    (value) => new Error(`the call succeeded: ${JSON.stringify(value, bigintAsText)}`),
    (error: unknown) => error,
  );
  if (!(thrown instanceof ConnectError)) throw thrown;
  const [info] = thrown.findDetails(ErrorInfoSchema);
  const [badRequest] = thrown.findDetails(BadRequestSchema);
  const [retry] = thrown.findDetails(RetryInfoSchema);
  return {
    code: thrown.code,
    reason: info?.domain === "tellwire" ? info.reason : `no reason: ${thrown.message}`,
    message: thrown.rawMessage,
    metadata: info?.metadata ?? {},
    fields: Object.fromEntries(
      (badRequest?.fieldViolations ?? []).map(({ field, description }) => [field, description]),
    ),
    retryDelayMs: retry?.retryDelay === undefined ? undefined : Number(retry.retryDelay.seconds) * 1000,
  };
}

function clientsOn(transport: Transport): Clients {
  return {
    webhooks: createClient(WebhookService, transport),
    events: createClient(EventService, transport),
    deliveries: createClient(DeliveryService, transport),
    organizations: createClient(OrganizationService, transport),
    audit: createClient(AuditService, transport),
  };
}

function withHeaders(transport: Transport, headers: Record<string, string>): Transport {
  const merged = (given: ConstructorParameters<typeof Headers>[0]): Headers => {
    const all = new Headers(given);
    for (const [name, value] of Object.entries(headers)) all.set(name, value);
    return all;
  };
  return {
    unary: (method, signal, timeoutMs, header, ...rest) =>
      transport.unary(method, signal, timeoutMs, merged(header), ...rest),
    stream: (method, signal, timeoutMs, header, ...rest) =>
      transport.stream(method, signal, timeoutMs, merged(header), ...rest),
  };
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

import { randomBytes } from "node:crypto";
import { createValidator } from "@bufbuild/protovalidate";
import { AuditService } from "../gen/tellwire/v1/audit_service_pb.ts";
import { DeliveryService } from "../gen/tellwire/v1/delivery_service_pb.ts";
import { EventService } from "../gen/tellwire/v1/event_service_pb.ts";
import { OrganizationService } from "../gen/tellwire/v1/organization_service_pb.ts";
import { WebhookService } from "../gen/tellwire/v1/webhook_service_pb.ts";
import { withAnswerHeaders } from "./api/answer-headers.ts";
import { createCallChecks } from "./api/call-checks.ts";
import type { OnServerError } from "./api/interceptors/error-interceptor.ts";
import { createJwksHandler } from "./api/jwks-handler.ts";
import { peerContext } from "./api/peer-context.ts";
import { createRoutes } from "./api/routes.ts";
import { createServers, type Servers } from "./api/servers/create-servers.ts";
import { createHealthSource } from "./api/servers/health-source.ts";
import { openServices } from "./api/servers/open-services.ts";
import { defaultRequestLimits } from "./api/servers/request-limits.ts";
import type { ServerTls } from "./api/servers/server-tls.ts";
import type { Broker, BrokerLog, RejectReason } from "./broker/broker.ts";
import { openJetStream } from "./broker/jetstream.ts";
import { openPostgresBroker } from "./broker/postgres.ts";
import { hasPublisherMark } from "./broker/publisher-mark.ts";
import type { Config } from "./config.ts";
import { createCrossOrigin } from "./cross-origin.ts";
import { createEngine } from "./delivery/engine.ts";
import { createDialectHandler } from "./dialects/dialect-handler.ts";
import type { IdSource } from "./domain/ids.ts";
import { inexactNumberProblem } from "./domain/inexact-number.ts";
import type { RetryPolicy } from "./domain/retry.ts";
import { createSecretBox } from "./domain/secret-box.ts";
import { observeEngine } from "./engine-observer.ts";
import { TellwireError } from "./errors.ts";
import { createConnectCaller } from "./gateway/connect-caller.ts";
import { createGateway } from "./gateway/gateway.ts";
import { observeLimits } from "./limit-observer.ts";
import { createDocsHandler } from "./openapi/docs-handler.ts";
import { createAddressGuard } from "./outbound/address-guard.ts";
import { createHttpClient } from "./outbound/http-client.ts";
import { createJsonWebKeysReader } from "./outbound/json-web-keys.ts";
import { createRandomBytes } from "./random-bytes.ts";
import { createRequestPeer } from "./request-peer.ts";
import { createServedDialects } from "./served-dialects.ts";
import { type Database, openEmbedded, openPostgres } from "./store/database.ts";
import { ensurePartitions, partitionsAtHand } from "./store/partitions.ts";
import { createRetentionWorker } from "./store/retention-worker.ts";
import { readPublisherMark } from "./store/sql/publisher-mark.ts";
import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { readTlsFiles, watchTlsFiles } from "./tls-files.ts";
import type { Dependencies } from "./usecases/dependencies.ts";
import { createUseCases, type UseCases } from "./usecases/use-cases.ts";
import { version } from "./version.ts";

/** A running Tellwire. */
export interface App {
  httpUrl: string;
  grpcUrl: string;
  /**
   * Stops in the order of the work: no new requests, no new messages, attempts under way finish within the grace or go to their lanes,
   * what is known is recorded, and the connections close.
   */
  close(): Promise<void>;
}

export interface AppOptions {
  log: Log;
  metrics: Metrics;
}

/** Starts everything, in the order in which the parts need each other. What was started is closed again if a later part fails. */
export async function startApp(config: Config, options: AppOptions): Promise<App> {
  const closing: ClosePart[] = [];
  const close = async (): Promise<void> => {
    // One grace for all parts: who comes later has what is left of it.
    const deadline = performance.now() + config.shutdownGraceMs;
    for (const part of closing.splice(0).reverse()) {
      await part(Math.max(0, deadline - performance.now())).catch((error) =>
        options.log.error({ err: error }, "a part did not close cleanly"),
      );
    }
  };
  try {
    const urls = await start(config, options, (part) => closing.push(part));
    return { ...urls, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Which services the contract has, for the REST gateway; the Connect and gRPC doors know them from the routes. */
const services = [WebhookService, EventService, DeliveryService, OrganizationService, AuditService];

/** How long one verification may take in all. */
const verificationTimeoutMs = 10_000;

/** How often the files for TLS are looked at. */
const tlsLookMs = 60_000;

/** Closes a part that may take the time, in milliseconds, to finish what is under way. */
type ClosePart = (graceMs: number) => Promise<void>;

async function start(config: Config, { log, metrics }: AppOptions, onClose: (part: ClosePart) => void) {
  const ids: IdSource = { now: Date.now, randomBytes: createRandomBytes() };
  const secretBox = createSecretBox({ keys: config.secretsKeys });
  const targetPolicy = {
    guard: createAddressGuard({ allow: config.allowAddresses, deny: config.denyAddresses }),
    allowHttp: config.allowHttp,
    allowPorts: config.allowPorts,
  };
  const httpClient = createHttpClient({ policy: targetPolicy, userAgent: `Tellwire/${version}` });

  const database = await openDatabase(config, log);
  onClose(() => database.close());
  const broker = await openBroker(config, database, log);
  onClose(() => broker.close());
  onClose(() => httpClient.close());

  const publisherMark = await readPublisherMark(database.sql);
  const requestOrigin = new URL(config.publicUrl ?? "http://tellwire.local").hostname;
  const engine = createEngine({
    sql: database.sql,
    broker,
    secretBox,
    client: httpClient,
    ids,
    random: Math.random,
    defaultPolicy: defaultPolicyOf(config),
    requestOrigin,
    maxPayloadBytes: config.maxPayloadBytes,
    maxPerWebhook: config.concurrencyPerWebhook,
    admission: {
      isAccepted: (message) => hasPublisherMark(message, publisherMark),
      prepare: (organizationIds) => useCases.publishingLimits.prepare(organizationIds),
      take: (organizationId, publishedAt) =>
        rejectionOf(useCases.publishingLimits.take(organizationId, 1, publishedAt)),
    },
    observer: observeEngine({ log, metrics, now: ids.now, isForPeople: config.logFormat === "pretty" }),
  });
  const useCases = createUseCases({
    database,
    broker,
    secretBox,
    secretsKeys: config.secretsKeys,
    httpClient,
    targetPolicy,
    changes: engine,
    ids,
    operatorKeys: config.operatorKeys,
    externalTokens: openIssuer(config, log, onClose),
    clientIdentities: config.grpcClients?.identities ?? [],
    requestOrigin,
    defaultTimeoutMs: config.deliveryTimeoutMs,
    maxPayloadBytes: config.maxPayloadBytes,
    disableAfterMs: config.disableAfterMs,
    limits: {
      defaults: config.limits,
      failedLogins: config.failedLoginsLimit,
      ...observeLimits({ log, metrics, now: ids.now }),
    },
    publisherMark,
    verification: { timeoutMs: verificationTimeoutMs, pollIntervalMs: 5_000, concurrency: 32 },
    log: { backgroundFailure: (what, error) => log.error({ err: error }, `${what} failed, and is tried again`) },
  });
  await useCases.accessChannel.start();
  onClose(() => useCases.accessChannel.stop());
  onClose(async () => useCases.stopSharingLimits());
  useCases.keyUsage.start();
  onClose(() => useCases.keyUsage.stop());
  useCases.publishingLimits.start();
  onClose(() => useCases.publishingLimits.stop());
  const tls = await readTlsFiles(config);
  const servers = await createFrontDoors(config, { log, metrics, useCases, database, broker, tls });

  onClose((graceMs) => engine.stop(graceMs));
  await engine.start();
  useCases.verificationWorker.start();
  onClose((graceMs) => useCases.verificationWorker.stop({ graceMs }));
  useCases.idempotencyCleaner.start();
  onClose(() => useCases.idempotencyCleaner.stop());
  const { recoveryWorker, operationalEventRelay, failingWebhookWorker, statisticsWorker } = useCases;
  for (const worker of [recoveryWorker, operationalEventRelay, failingWebhookWorker, statisticsWorker]) {
    worker.start();
    onClose(() => worker.stop());
  }
  const retentionWorker = createRetentionWorker({
    database,
    now: ids.now,
    payloadRetentionMs: config.payloadRetentionMs,
    recordRetentionMs: config.recordRetentionMs,
    auditRetentionMs: config.auditRetentionMs,
    onDropped: (partitions) => log.info(partitions, "dropped the days that are past their retention"),
    onFailure: (error) =>
      log.error({ err: error }, "looking after the partitions failed, and is tried again in an hour"),
  });
  retentionWorker.start();
  onClose(() => retentionWorker.stop());
  const urls = await servers.listen();
  onClose((graceMs) => servers.close({ graceMs }));
  if (tls !== undefined) {
    const watch = watchTlsFiles({ config, current: tls, use: servers.renewTls, intervalMs: tlsLookMs, log });
    onClose(() => watch.stop());
  }
  return urls;
}

/** The words of the broker for an event that is one too many. */
function rejectionOf(refusal: TellwireError | undefined): { reason: RejectReason; detail: string } | undefined {
  if (refusal === undefined) return undefined;
  const reason = refusal.reason === "QUOTA_EXCEEDED" ? "QUOTA_EXCEEDED" : "RATE_LIMITED";
  return { reason, detail: refusal.message };
}

async function openDatabase(config: Config, log: Log): Promise<Database> {
  const database =
    config.databaseUrl === undefined
      ? await openEmbedded(config.dataDir)
      : await openPostgres(config.databaseUrl, { maxConnections: config.databaseMaxConnections });
  try {
    await bringUpToDate(config, database, log);
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function bringUpToDate(config: Config, database: Database, log: Log): Promise<void> {
  if (config.autoMigrate) {
    for (const name of await database.migrate()) {
      log.info(`migrated the database: ${name}`);
    }
    return;
  }
  const pending = await database.pendingMigrations();
  if (pending.length > 0) {
    const names = pending.join(", ");
    throw new TellwireError(
      "CONFIG_INVALID",
      `the database lacks migrations (${names}): run \`tellwire migrate\` first`,
    );
  }
  await ensurePartitions(database.sql, { now: Date.now(), ...partitionsAtHand });
}

/** Nothing is asked of the issuer before the first token comes. */
function openIssuer(
  { externalTokens }: Config,
  log: Log,
  onClose: (part: ClosePart) => void,
): Dependencies["externalTokens"] {
  if (externalTokens === undefined) return undefined;
  if (externalTokens.jwksUrl.startsWith("http:")) {
    log.warn("TELLWIRE_JWT_JWKS_URL is not https: whoever can change its answer on the way can make tokens");
  }
  const reader = createJsonWebKeysReader({ url: externalTokens.jwksUrl });
  onClose(() => reader.close());
  return { issuer: externalTokens, readKeys: reader.read };
}

async function openBroker(config: Config, database: Database, log: Log): Promise<Broker> {
  const brokerLog: BrokerLog = (level, message, details = {}) => log[level](details, message);
  return config.natsServers.length === 0
    ? await openPostgresBroker(database.sql, { log: brokerLog })
    : await openJetStream({
        url: config.natsServers.join(","),
        credentialsFile: config.natsCredentialsPath,
        log: brokerLog,
      });
}

/** What webhooks that set nothing get. */
function defaultPolicyOf({ retryDelaysMs, deliveryTimeoutMs }: Config): RetryPolicy {
  return { delaysMs: retryDelaysMs, maxAttempts: retryDelaysMs.length + 1, timeoutMs: deliveryTimeoutMs };
}

interface FrontDoorParts extends AppOptions {
  useCases: UseCases;
  database: Database;
  broker: Broker;
  tls: ServerTls | undefined;
}

/** Connect, gRPC-Web, gRPC and REST: the same handlers behind the same gate and interceptors. The dialects stand on the same use cases. */
async function createFrontDoors(config: Config, parts: FrontDoorParts): Promise<Servers> {
  const { log, metrics, useCases, database, broker, tls } = parts;
  const { maxBodyBytes } = config;
  const validator = createValidator();
  const newRequestId = () => `req_${randomBytes(12).toString("hex")}`;
  const onServerError: OnServerError = ({ requestId, method, error }) =>
    log.error({ err: error, requestId, method }, "a call failed because of us");
  const readPeer = createRequestPeer({ trustedProxies: config.trustedProxies, newRequestId });
  const routes = createRoutes(useCases, { validator, newRequestId, onServerError });
  const { gate, interceptors } = createCallChecks({
    authenticate: useCases.authenticate,
    callLimits: useCases.callLimits,
    openServices,
    validator,
    newRequestId,
    onServerError,
    onRequest: (entry) => log.debug(entry, "call"),
    onDenied: (denial) => log.info(denial, "a call was denied"),
    now: () => performance.now(),
  });
  const gateway = createGateway({
    services,
    caller: createConnectCaller({
      routes,
      gate,
      interceptors,
      contextValuesOf: (request, response) => withAnswerHeaders(peerContext(readPeer(request)), response),
    }),
    maxBodyBytes,
    bodyTimeoutMs: defaultRequestLimits.bodyTimeoutMs,
    findJsonProblem: inexactNumberProblem,
    errorDomain: "tellwire",
    onInternalError: (error) => log.error({ err: error }, "a REST call failed because of us"),
  });
  const dialects = createServedDialects(useCases, { ...config, defaultPolicy: defaultPolicyOf(config) });
  const dialectHandlers = dialects.map((dialect) =>
    createDialectHandler(dialect, {
      authenticate: useCases.authenticate,
      callLimits: useCases.callLimits,
      readPeer,
      runIdempotently: useCases.runIdempotently,
      maxBodyBytes,
      newRequestId,
      onServerError,
      onRefusal: (refusal) => log.info(refusal, "a request was refused"),
    }),
  );
  const handleKeys = createJwksHandler({
    publishedKeys: useCases.publishedKeys,
    onServerError: (error) => log.error({ err: error }, "the public keys of a webhook could not be read"),
  });
  const handleDocs = await createDocsHandler({ title: "Tellwire API", errorDomain: "tellwire", log });
  return createServers({
    routes,
    gate,
    interceptors,
    readPeer,
    http: listenAddress(config.httpAddress),
    grpc: listenAddress(config.grpcAddress),
    tls,
    maxBodyBytes,
    first: config.corsOrigins.length === 0 ? undefined : createCrossOrigin(config.corsOrigins),
    gateway: async (request, response) => {
      for (const handle of dialectHandlers) {
        if (await handle(request, response)) return;
      }
      await (handleKeys(request, response) ?? handleDocs(request, response) ?? gateway.handle(request, response));
    },
    health: createHealthSource({ checks: { database: database.ping, broker: broker.ping }, log }),
    metrics: metrics.registry,
    log,
  });
}

/** No host means every interface, of IPv6 and IPv4. */
function listenAddress({ host = "::", port }: Config["httpAddress"]): { host: string; port: number } {
  return { host, port };
}

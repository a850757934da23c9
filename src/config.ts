import { z } from "zod";
import { companionViolations } from "./config/companions.ts";
import { nearestName } from "./config/nearest-name.ts";
import { rateText } from "./config/rate-formats.ts";
import type { SocketAddress } from "./config/value-formats.ts";
import { configDefaults, type VariableName, variables } from "./config/variables.ts";
import type { CallRate } from "./domain/call-rate.ts";
import type { ClientGrant, ClientIdentity } from "./domain/client-identity.ts";
import type { ExternalIssuer } from "./domain/external-issuer.ts";
import { publicId } from "./domain/ids.ts";
import type { Limits } from "./domain/limits.ts";
import { type FieldViolation, TellwireError } from "./errors.ts";

/** What the operator has set, read once and frozen. docs/configuration.md says what each part means. */
export interface Config {
  readonly httpAddress: SocketAddress;
  readonly grpcAddress: SocketAddress;
  /** Paths of PEM files; both servers use TLS where set. */
  readonly tls: { readonly certPath: string; readonly keyPath: string } | undefined;
  /** Whom the certificates of clients of the gRPC port stand for; undefined: clients are not asked for any. */
  readonly grpcClients:
    | { readonly caPath: string; readonly isRequired: boolean; readonly identities: readonly ClientIdentity[] }
    | undefined;
  /** Who issues tokens that open this service besides its own; undefined: nobody. */
  readonly externalTokens: (ExternalIssuer & { readonly jwksUrl: string }) | undefined;
  /** `postgres://…`, a secret. Undefined: the embedded database in `dataDir`. */
  readonly databaseUrl: string | undefined;
  readonly databaseMaxConnections: number;
  readonly dataDir: string;
  /** The NATS servers. Empty: events are brokered by the database. */
  readonly natsServers: readonly string[];
  /** A NATS credentials file (`.creds`). */
  readonly natsCredentialsPath: string | undefined;
  /** Secrets, each of which opens everything. Empty: operator calls are refused. */
  readonly operatorKeys: readonly string[];
  /** Keys of 32 bytes for secrets at rest: the first seals, all open. Empty: the key file in `dataDir` is used. */
  readonly secretsKeys: readonly Uint8Array[];
  /** Where the API is reached from outside, without a slash at the end. */
  readonly publicUrl: string | undefined;
  /** Whose pages may call the HTTP port from a browser; `*`: anybody's; empty: nobody's. */
  readonly corsOrigins: "*" | readonly string[];
  /** The addresses of proxies whose word on where a request comes from is taken (X-Forwarded-For). */
  readonly trustedProxies: readonly string[];
  readonly allowHttp: boolean;
  readonly allowAddresses: readonly string[];
  readonly denyAddresses: readonly string[];
  readonly allowPorts: readonly number[];
  /** What organizations may do, where an operator has set nothing else for one. */
  readonly limits: Limits;
  /** How many wrong keys may come from one address; null: any number. */
  readonly failedLoginsLimit: CallRate | null;
  readonly maxPayloadBytes: number;
  readonly maxBodyBytes: number;
  readonly deliveryTimeoutMs: number;
  readonly retryDelaysMs: readonly number[];
  readonly concurrencyPerWebhook: number;
  /** A webhook whose attempts have done nothing but fail for this long is disabled. */
  readonly disableAfterMs: number;
  /** How long events with their payloads are kept. */
  readonly payloadRetentionMs: number;
  /** How long deliveries with their attempts are kept. Not shorter than the payloads. */
  readonly recordRetentionMs: number;
  /** How long entries of the audit log are kept. */
  readonly auditRetentionMs: number;
  /** How many processes serve and deliver. */
  readonly processes: number;
  readonly shutdownGraceMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: "json" | "pretty";
  /** Whether the tables are brought up to date at start. Always true with the embedded database. */
  readonly autoMigrate: boolean;
}

/** The levels of pino, and none. */
export type LogLevel = z.infer<(typeof variables)["TELLWIRE_LOG_LEVEL"]>;

/** What the configuration is read for: `dev` has defaults of its own; `serve` and `secrets` need a secrets key for a database server. */
export type Command = "serve" | "dev" | "migrate" | "import" | "secrets";

/** Variables as the process gets them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the configuration from `TELLWIRE_…` variables. An empty variable is as good as none. Throws one CONFIG_INVALID that names every
 * variable which is wrong, and what to do about it.
 */
export function readConfig(command: Command, environment: Environment = process.env): Config {
  const given = Object.fromEntries(Object.entries(environment).filter(([name, text]) => isOurs(name) && text?.trim()));
  const values = schema.safeParse({ ...configDefaults, ...commandDefaults[command], ...given });
  const violations = [
    ...valueViolations(values.error),
    ...combinationViolations(command, given),
    ...tlsViolations(environment),
  ];
  if (values.success && values.data.TELLWIRE_MAX_BODY_BYTES < values.data.TELLWIRE_MAX_PAYLOAD_BYTES) {
    violations.push({
      field: "TELLWIRE_MAX_BODY_BYTES",
      description: "must not be less than TELLWIRE_MAX_PAYLOAD_BYTES: an event could not be published",
    });
  }
  if (values.success && values.data.TELLWIRE_RECORD_RETENTION < values.data.TELLWIRE_PAYLOAD_RETENTION) {
    violations.push({
      field: "TELLWIRE_RECORD_RETENTION",
      description:
        "must not be less than TELLWIRE_PAYLOAD_RETENTION: what was sent is kept at least as long as its payload",
    });
  }
  if (!values.success || violations.length > 0) {
    const message = violations.map(({ field, description }) => `${field} ${description}`).join("; ");
    throw new TellwireError("CONFIG_INVALID", message, { fieldViolations: violations });
  }
  return deepFreeze(toConfig(command, values.data));
}

/** The configuration for the start log, by variable: secrets only as `set` or `not set`, addresses without passwords. */
export function describeConfig(config: Config): Record<VariableName, string> {
  const secret = (isSet: boolean) => (isSet ? "set" : "not set");
  const text = (value: string | number | boolean | undefined) => (value === undefined ? "not set" : String(value));
  const list = (values: readonly (string | number)[]) => values.join(",") || "not set";
  const external = config.externalTokens;
  return {
    TELLWIRE_HTTP_ADDR: config.httpAddress.text,
    TELLWIRE_GRPC_ADDR: config.grpcAddress.text,
    TELLWIRE_TLS_CERT: text(config.tls?.certPath),
    TELLWIRE_TLS_KEY: text(config.tls?.keyPath),
    TELLWIRE_GRPC_CLIENT_CA: text(config.grpcClients?.caPath),
    TELLWIRE_GRPC_CLIENT_AUTH: config.grpcClients?.isRequired ? "required" : "optional",
    TELLWIRE_GRPC_CLIENT_IDENTITIES: list(config.grpcClients?.identities.map(identityText) ?? []),
    TELLWIRE_DATABASE_URL: secret(config.databaseUrl !== undefined),
    TELLWIRE_DATABASE_MAX_CONNECTIONS: text(config.databaseMaxConnections),
    TELLWIRE_DATA_DIR: config.dataDir,
    TELLWIRE_NATS_URL: list(config.natsServers.map(withoutPassword)),
    TELLWIRE_NATS_CREDENTIALS: text(config.natsCredentialsPath),
    TELLWIRE_OPERATOR_KEY: secret(config.operatorKeys.length > 0),
    TELLWIRE_SECRETS_KEY: secret(config.secretsKeys.length > 0),
    TELLWIRE_JWT_ISSUER: text(external?.issuer),
    TELLWIRE_JWT_JWKS_URL: text(external?.jwksUrl),
    TELLWIRE_JWT_AUDIENCE: text(external?.audience),
    TELLWIRE_JWT_ORGANIZATION_CLAIM: text(external?.organizationClaim),
    TELLWIRE_JWT_SCOPE_CLAIM: text(external?.scopeClaim),
    TELLWIRE_JWT_OPERATOR_CLAIM: text(
      external?.operatorClaim && `${external.operatorClaim.claim}=${external.operatorClaim.value}`,
    ),
    TELLWIRE_PUBLIC_URL: text(config.publicUrl),
    TELLWIRE_CORS_ORIGINS: config.corsOrigins === "*" ? "*" : list(config.corsOrigins),
    TELLWIRE_TRUSTED_PROXIES: list(config.trustedProxies),
    TELLWIRE_ALLOW_HTTP: text(config.allowHttp),
    TELLWIRE_ALLOW_ADDRESSES: list(config.allowAddresses),
    TELLWIRE_DENY_ADDRESSES: list(config.denyAddresses),
    TELLWIRE_ALLOW_PORTS: list(config.allowPorts),
    TELLWIRE_RATE_LIMIT_PER_KEY: rateText(config.limits.callsPerKey),
    TELLWIRE_RATE_LIMIT_PER_ORGANIZATION: rateText(config.limits.calls),
    TELLWIRE_RATE_LIMIT_RECEIVER_CALLS: rateText(config.limits.receiverCalls),
    TELLWIRE_RATE_LIMIT_FAILED_LOGINS: rateText(config.failedLoginsLimit),
    TELLWIRE_RATE_LIMIT_EVENTS_PER_ORGANIZATION: rateText(config.limits.events),
    TELLWIRE_MAX_EVENTS_PER_DAY_PER_ORGANIZATION: text(config.limits.eventsPerDay ?? "off"),
    TELLWIRE_MAX_WEBHOOKS_PER_ORGANIZATION: text(config.limits.webhooks ?? "off"),
    TELLWIRE_MAX_API_KEYS_PER_ORGANIZATION: text(config.limits.apiKeys ?? "off"),
    TELLWIRE_MAX_PAYLOAD_BYTES: text(config.maxPayloadBytes),
    TELLWIRE_MAX_BODY_BYTES: text(config.maxBodyBytes),
    TELLWIRE_DELIVERY_TIMEOUT_MS: text(config.deliveryTimeoutMs),
    TELLWIRE_RETRY_DELAYS: config.retryDelaysMs.map((delayMs) => `${delayMs / 1000}s`).join(","),
    TELLWIRE_CONCURRENCY_PER_WEBHOOK: text(config.concurrencyPerWebhook),
    TELLWIRE_DISABLE_AFTER: `${config.disableAfterMs / 1000}s`,
    TELLWIRE_PAYLOAD_RETENTION: `${config.payloadRetentionMs / 1000}s`,
    TELLWIRE_RECORD_RETENTION: `${config.recordRetentionMs / 1000}s`,
    TELLWIRE_AUDIT_RETENTION: `${config.auditRetentionMs / 1000}s`,
    TELLWIRE_PROCESSES: text(config.processes),
    TELLWIRE_SHUTDOWN_GRACE_MS: text(config.shutdownGraceMs),
    TELLWIRE_LOG_LEVEL: config.logLevel,
    TELLWIRE_LOG_FORMAT: config.logFormat,
    TELLWIRE_AUTO_MIGRATE: text(config.autoMigrate),
  };
}

function identityText({ name, grant }: ClientIdentity): string {
  return `${name}=${grantText(grant)}`;
}

function grantText(grant: ClientGrant): string {
  if (grant.kind === "operator") return "operator";
  return `${publicId("organization", grant.organizationId)}:${grant.scopes.join("+")}`;
}

const schema = z.strictObject(variables);

const commandDefaults: Record<Command, Partial<Record<VariableName, string>>> = {
  serve: {},
  migrate: {},
  import: {},
  secrets: {},
  dev: { TELLWIRE_ALLOW_HTTP: "true", TELLWIRE_AUTO_MIGRATE: "true", TELLWIRE_LOG_FORMAT: "pretty" },
};

/** What `dev` allows besides: receivers on this machine. */
const loopback = ["127.0.0.0/8", "::1/128"];

/** The tests have variables of their own, for the servers that they use. */
function isOurs(name: string): boolean {
  return name.startsWith("TELLWIRE_") && !name.startsWith("TELLWIRE_TEST_");
}

function valueViolations(error: z.ZodError | undefined): FieldViolation[] {
  return (error?.issues ?? []).flatMap((issue) => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((field) => ({
        field,
        description: `is not a variable of Tellwire: did you mean ${nearestName(field, Object.keys(variables))}?`,
      }));
    }
    return [{ field: String(issue.path[0]), description: issue.message }];
  });
}

function combinationViolations(command: Command, given: Environment): FieldViolation[] {
  const violations: FieldViolation[] = [];
  const pair = ["TELLWIRE_TLS_CERT", "TELLWIRE_TLS_KEY"] as const;
  for (const [name, other] of [pair, [pair[1], pair[0]] as const]) {
    if (given[other] !== undefined && given[name] === undefined) {
      violations.push({
        field: name,
        description: `must be set where ${other} is: TLS needs the certificate and its key`,
      });
    }
  }
  violations.push(...companionViolations(given));
  if (given.TELLWIRE_NATS_CREDENTIALS !== undefined && given.TELLWIRE_NATS_URL === undefined) {
    violations.push({ field: "TELLWIRE_NATS_URL", description: "must be set where TELLWIRE_NATS_CREDENTIALS is" });
  }
  if (Number(given.TELLWIRE_PROCESSES) > 1 && given.TELLWIRE_DATABASE_URL === undefined) {
    violations.push({
      field: "TELLWIRE_DATABASE_URL",
      description: "must be set where TELLWIRE_PROCESSES is above 1: one process at a time has the embedded database",
    });
  }
  const needsKey = (command === "serve" || command === "secrets") && given.TELLWIRE_DATABASE_URL !== undefined;
  if (needsKey && given.TELLWIRE_SECRETS_KEY === undefined) {
    violations.push({
      field: "TELLWIRE_SECRETS_KEY",
      description:
        "must be set where TELLWIRE_DATABASE_URL is: it encrypts the signing secrets in the database. " +
        "Make one with `openssl rand -base64 32`, and keep it: without it the secrets cannot be read",
    });
  }
  return violations;
}

/** Deliveries are verified in any case; this would switch it off for the database, the broker and whatever else the process connects to. */
function tlsViolations({ NODE_TLS_REJECT_UNAUTHORIZED: text }: Environment): FieldViolation[] {
  if (text !== "0") return [];
  const description =
    "must not be 0: certificates are always verified. Name an authority of your own with NODE_EXTRA_CA_CERTS instead";
  return [{ field: "NODE_TLS_REJECT_UNAUTHORIZED", description }];
}

function toConfig(command: Command, values: Values): Config {
  const { TELLWIRE_TLS_CERT: certPath, TELLWIRE_TLS_KEY: keyPath, TELLWIRE_DATABASE_URL: databaseUrl } = values;
  return {
    httpAddress: values.TELLWIRE_HTTP_ADDR,
    grpcAddress: values.TELLWIRE_GRPC_ADDR,
    tls: certPath !== undefined && keyPath !== undefined ? { certPath, keyPath } : undefined,
    grpcClients: grpcClientsOf(values),
    externalTokens: externalTokensOf(values),
    databaseUrl,
    databaseMaxConnections: values.TELLWIRE_DATABASE_MAX_CONNECTIONS,
    dataDir: values.TELLWIRE_DATA_DIR,
    natsServers: values.TELLWIRE_NATS_URL ?? [],
    natsCredentialsPath: values.TELLWIRE_NATS_CREDENTIALS,
    operatorKeys: values.TELLWIRE_OPERATOR_KEY ?? [],
    secretsKeys: values.TELLWIRE_SECRETS_KEY ?? [],
    publicUrl: values.TELLWIRE_PUBLIC_URL,
    corsOrigins: values.TELLWIRE_CORS_ORIGINS ?? [],
    trustedProxies: values.TELLWIRE_TRUSTED_PROXIES ?? [],
    allowHttp: values.TELLWIRE_ALLOW_HTTP,
    allowAddresses: [...(values.TELLWIRE_ALLOW_ADDRESSES ?? []), ...(command === "dev" ? loopback : [])],
    denyAddresses: values.TELLWIRE_DENY_ADDRESSES ?? [],
    allowPorts: values.TELLWIRE_ALLOW_PORTS ?? [],
    limits: {
      callsPerKey: values.TELLWIRE_RATE_LIMIT_PER_KEY,
      calls: values.TELLWIRE_RATE_LIMIT_PER_ORGANIZATION,
      receiverCalls: values.TELLWIRE_RATE_LIMIT_RECEIVER_CALLS,
      events: values.TELLWIRE_RATE_LIMIT_EVENTS_PER_ORGANIZATION,
      eventsPerDay: values.TELLWIRE_MAX_EVENTS_PER_DAY_PER_ORGANIZATION,
      webhooks: values.TELLWIRE_MAX_WEBHOOKS_PER_ORGANIZATION,
      apiKeys: values.TELLWIRE_MAX_API_KEYS_PER_ORGANIZATION,
    },
    failedLoginsLimit: values.TELLWIRE_RATE_LIMIT_FAILED_LOGINS,
    maxPayloadBytes: values.TELLWIRE_MAX_PAYLOAD_BYTES,
    maxBodyBytes: values.TELLWIRE_MAX_BODY_BYTES,
    deliveryTimeoutMs: values.TELLWIRE_DELIVERY_TIMEOUT_MS,
    retryDelaysMs: values.TELLWIRE_RETRY_DELAYS,
    concurrencyPerWebhook: values.TELLWIRE_CONCURRENCY_PER_WEBHOOK,
    disableAfterMs: values.TELLWIRE_DISABLE_AFTER,
    payloadRetentionMs: values.TELLWIRE_PAYLOAD_RETENTION,
    recordRetentionMs: values.TELLWIRE_RECORD_RETENTION,
    auditRetentionMs: values.TELLWIRE_AUDIT_RETENTION,
    processes: values.TELLWIRE_PROCESSES,
    shutdownGraceMs: values.TELLWIRE_SHUTDOWN_GRACE_MS,
    logLevel: values.TELLWIRE_LOG_LEVEL,
    logFormat: values.TELLWIRE_LOG_FORMAT,
    autoMigrate: values.TELLWIRE_AUTO_MIGRATE || databaseUrl === undefined,
  };
}

type Values = z.infer<typeof schema>;

function grpcClientsOf(values: Values): Config["grpcClients"] {
  const { TELLWIRE_GRPC_CLIENT_CA: caPath, TELLWIRE_GRPC_CLIENT_IDENTITIES: identities = [] } = values;
  if (caPath === undefined) return undefined;
  return { caPath, isRequired: values.TELLWIRE_GRPC_CLIENT_AUTH === "required", identities };
}

function externalTokensOf(values: Values): Config["externalTokens"] {
  const { TELLWIRE_JWT_ISSUER: issuer, TELLWIRE_JWT_JWKS_URL: jwksUrl, TELLWIRE_JWT_AUDIENCE: audience } = values;
  if (issuer === undefined || jwksUrl === undefined || audience === undefined) return undefined;
  return {
    issuer,
    jwksUrl,
    audience,
    organizationClaim: values.TELLWIRE_JWT_ORGANIZATION_CLAIM,
    scopeClaim: values.TELLWIRE_JWT_SCOPE_CLAIM,
    operatorClaim: values.TELLWIRE_JWT_OPERATOR_CLAIM,
  };
}

function withoutPassword(server: string): string {
  return server.replace(/\/\/[^/@]*@/, "//");
}

/** Keys stay as they are: bytes cannot be frozen. */
function deepFreeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}

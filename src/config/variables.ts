import { z } from "zod";
import {
  addressRanges,
  corsOrigins,
  durations,
  httpUrl,
  natsServers,
  oneOf,
  operatorKey,
  ports,
  postgresUrl,
  secretsKeys,
  socketAddress,
  trueOrFalse,
  wholeNumber,
} from "./value-formats.ts";

/** Every variable that Tellwire knows, and how its text is read. docs/configuration.md lists the same ones; a test compares. */
export const variables = {
  TELLWIRE_HTTP_ADDR: socketAddress,
  TELLWIRE_GRPC_ADDR: socketAddress,
  TELLWIRE_TLS_CERT: z.string().optional(),
  TELLWIRE_TLS_KEY: z.string().optional(),
  TELLWIRE_DATABASE_URL: postgresUrl.optional(),
  TELLWIRE_DATABASE_MAX_CONNECTIONS: wholeNumber(2, 1000),
  TELLWIRE_DATA_DIR: z.string(),
  TELLWIRE_NATS_URL: natsServers.optional(),
  TELLWIRE_NATS_CREDENTIALS: z.string().optional(),
  TELLWIRE_OPERATOR_KEY: operatorKey.optional(),
  TELLWIRE_SECRETS_KEY: secretsKeys.optional(),
  TELLWIRE_PUBLIC_URL: httpUrl.optional(),
  TELLWIRE_CORS_ORIGINS: corsOrigins.optional(),
  TELLWIRE_ALLOW_HTTP: trueOrFalse,
  TELLWIRE_ALLOW_ADDRESSES: addressRanges.optional(),
  TELLWIRE_DENY_ADDRESSES: addressRanges.optional(),
  TELLWIRE_ALLOW_PORTS: ports.optional(),
  TELLWIRE_MAX_PAYLOAD_BYTES: wholeNumber(1, 64 * 1024 * 1024),
  TELLWIRE_MAX_BODY_BYTES: wholeNumber(1024, 256 * 1024 * 1024),
  TELLWIRE_DELIVERY_TIMEOUT_MS: wholeNumber(100, 60_000),
  TELLWIRE_RETRY_DELAYS: durations,
  TELLWIRE_CONCURRENCY_PER_WEBHOOK: wholeNumber(1, 10_000),
  TELLWIRE_SHUTDOWN_GRACE_MS: wholeNumber(0, 600_000),
  TELLWIRE_LOG_LEVEL: oneOf(["trace", "debug", "info", "warn", "error", "silent"]),
  TELLWIRE_LOG_FORMAT: oneOf(["json", "pretty"]),
  TELLWIRE_AUTO_MIGRATE: trueOrFalse,
};

export type VariableName = keyof typeof variables;

/** What holds where a variable is not set, as one would write it. Variables without an entry have no default. */
export const configDefaults: Readonly<Partial<Record<VariableName, string>>> = {
  TELLWIRE_HTTP_ADDR: "127.0.0.1:8080",
  TELLWIRE_GRPC_ADDR: "127.0.0.1:9090",
  TELLWIRE_DATABASE_MAX_CONNECTIONS: "10",
  TELLWIRE_DATA_DIR: "./.tellwire",
  TELLWIRE_ALLOW_HTTP: "false",
  TELLWIRE_MAX_PAYLOAD_BYTES: "262144",
  TELLWIRE_MAX_BODY_BYTES: "4194304",
  TELLWIRE_DELIVERY_TIMEOUT_MS: "15000",
  TELLWIRE_RETRY_DELAYS: "5s,5m,30m,2h,5h,10h,14h,20h,24h",
  TELLWIRE_CONCURRENCY_PER_WEBHOOK: "32",
  TELLWIRE_SHUTDOWN_GRACE_MS: "10000",
  TELLWIRE_LOG_LEVEL: "info",
  TELLWIRE_LOG_FORMAT: "json",
  TELLWIRE_AUTO_MIGRATE: "false",
};

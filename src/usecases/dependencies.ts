import type { JSONWebKeySet } from "jose";
import type { Broker } from "../broker/broker.ts";
import type { CallRate } from "../domain/call-rate.ts";
import type { ClientIdentity } from "../domain/client-identity.ts";
import type { ExternalIssuer } from "../domain/external-issuer.ts";
import type { IdSource } from "../domain/ids.ts";
import type { Limits } from "../domain/limits.ts";
import type { SecretBox } from "../domain/secret-box.ts";
import type { HttpClient } from "../outbound/http-client.ts";
import type { TargetPolicy } from "../outbound/target-url.ts";
import type { Database } from "../store/database.ts";
import type { Changes } from "./changes.ts";

/** What the use cases work with. */
export interface Dependencies {
  database: Database;
  broker: Broker;
  /** The first token of the broker's subjects; undefined: the default one. */
  subjectPrefix?: string;
  secretBox: SecretBox;
  /** The keys of the box, in the same order. */
  secretsKeys: readonly Uint8Array[];
  httpClient: HttpClient;
  /** Which URLs webhooks may have: the one that `httpClient` keeps. */
  targetPolicy: TargetPolicy;
  changes: Changes;
  /** The clock, in milliseconds since the epoch, and strong random bytes. */
  ids: IdSource;
  /** The keys that open everything. Empty: nobody is an operator. */
  operatorKeys: readonly string[];
  /** Whose tokens open this service besides its own, and how its keys are read. Undefined: nobody's. */
  externalTokens: { issuer: ExternalIssuer; readKeys: () => Promise<JSONWebKeySet> } | undefined;
  /** Whom the certificates of clients stand for. */
  clientIdentities: readonly ClientIdentity[];
  /** The name under which receivers know this sender in the CloudEvents handshake, such as `hooks.example.com`. */
  requestOrigin: string;
  /** How long an attempt may take where the webhook sets nothing. */
  defaultTimeoutMs: number;
  /** The largest data of an event, as JSON text in UTF-8. */
  maxPayloadBytes: number;
  /** A webhook whose attempts have done nothing but fail for so long is disabled. */
  disableAfterMs: number;
  /** Left out: there are no limits. */
  limits?: LimitSettings;
  /** On every message that is published here; left out: messages have none. */
  publisherMark?: string;
  verification: VerificationOptions;
  log: UseCaseLog;
}

export interface VerificationOptions {
  /** How long one verification may take in all. */
  timeoutMs: number;
  /** How often the worker looks for verifications that nobody finished. */
  pollIntervalMs: number;
  /** How many verifications are under way at a time. */
  concurrency: number;
}

/** How much callers may do. */
export interface LimitSettings {
  /** What holds for organizations for which an operator has set nothing else. */
  defaults: Limits;
  /** How many wrong keys may come from one address; null: any number. */
  failedLogins: CallRate | null;
  /** A call was refused because of the limit of this name, or one of `failed-logins`. */
  onRefused: (limit: string) => void;
  /** A network sent so many wrong keys that it is not listened to. */
  onWrongKeys: (network: string) => void;
}

/** What the use cases report to whoever runs the process. */
export interface UseCaseLog {
  /** Something failed in the background, and is tried again. */
  backgroundFailure(what: string, error: unknown): void;
}

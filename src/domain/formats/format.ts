import type { ParsedKey, SigningAlgorithm, SigningKey } from "../signing-key.ts";
import type { EncodedPayload, PayloadEvent } from "./payload.ts";

/** How events are written for receivers of one kind, and how they are signed. Pure: the time and the keys are passed in. */
export interface Format {
  /** Writes an event. The result serves every attempt, and every webhook with the same format and configuration. */
  encode(event: PayloadEvent, configJson: string | null): EncodedPayload;
  /** What an attempt adds to the payload's headers, in lower case: signatures above all. */
  sign(request: UnsignedRequest): Readonly<Record<string, string>>;
  /** What its receivers can check. */
  algorithms: readonly SigningAlgorithm[];
  /** Reads a signing secret of this format, or says why a text is none. */
  parseSecret(text: string): ParsedKey;
  /** Makes a secret for HMAC. `randomBytes` must be cryptographically strong. */
  generateSecret(randomBytes: (size: number) => Uint8Array): string;
  verification: VerificationRules;
  /** Whether a 410 means that the receiver wants no more requests (Standard Webhooks), or is a failure like any other. */
  honoursGone: boolean;
  /** Whether the system that the format comes from shows its callers the secret again, after the creation too. */
  showsSecret: boolean;
}

/** What an attempt is about. */
export interface UnsignedRequest {
  payload: EncodedPayload;
  /** `evt_…`. */
  eventId: string;
  eventType: string;
  /** UUIDs. */
  deliveryId: string;
  webhookId: string;
  /** The time of the attempt, in milliseconds since the epoch. */
  now: number;
  /** Newest first; during a rotation the old ones follow. */
  keys: readonly SigningKey[];
}

/** How receivers of this kind prove that they want to be called. */
export interface VerificationRules {
  /** Whether webhooks may have no verification at all, as the system that they come from has it. */
  optional: boolean;
  /** What becomes of a webhook whose verification failed. */
  afterFailure: "UNVERIFIED" | "DISABLED";
  /** How long a verification may take at most, in milliseconds. */
  maxTimeoutMs: number;
  /** Whether a challenge is echoed by a 200 with the value alone, and nothing else; otherwise a 2xx and a line break after it will do. */
  exactEcho: boolean;
}

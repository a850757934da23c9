import { hash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { newUuid } from "../domain/ids.ts";
import { invalidFields, TellwireError } from "../errors.ts";
import { claimKey, type KeyName, keepAnswer, readKey, releaseKey, renewKey } from "../store/sql/idempotency-keys.ts";
import type { Principal } from "./access.ts";
import type { Dependencies } from "./dependencies.ts";

/** A call that carries an idempotency key. */
export interface IdempotentCall extends KeyName {
  /** Made by requestFingerprint: the same key with another fingerprint is refused. */
  fingerprint: string;
}

export interface IdempotentAnswer {
  answer: Uint8Array;
  /** Whether it is the answer of an earlier call. */
  replayed: boolean;
}

/**
 * Does the work of calls with the same scope and key once, in all processes together, and gives each of them the same bytes, for 24 hours. A
 * call that meets an earlier one which is under way waits for it. What is kept is the answer of work that succeeded: work that throws leaves
 * the key unused, so that the call can be repeated, mended where it was wrong. The key of a process that died under way is free again after a
 * minute; whatever of its work was done by then is done again. Throws IDEMPOTENCY_CONFLICT where the key belongs to another request,
 * IDEMPOTENCY_IN_PROGRESS where the wait takes too long, and INVALID_FIELDS for a text that is no key.
 */
export type RunIdempotently = (call: IdempotentCall, work: () => Promise<Uint8Array>) => Promise<IdempotentAnswer>;

/** How long things last, in milliseconds. */
export interface IdempotencyTimes {
  kept: number;
  /** Of a key whose work is under way; renewed for as long as the process lives. */
  lease: number;
  /** For an earlier call with the key. */
  wait: number;
}

export function createRunIdempotently(
  { database: { sql }, secretBox, ids, log }: Pick<Dependencies, "database" | "secretBox" | "ids" | "log">,
  times: IdempotencyTimes = { kept: 24 * 60 * 60 * 1000, lease: 60_000, wait: 30_000 },
): RunIdempotently {
  const report = (error: unknown): void => log.backgroundFailure("the bookkeeping of an idempotency key", error);

  async function claim(call: IdempotentCall, owner: string): Promise<boolean> {
    const now = ids.now();
    const fingerprint = secretBox.seal(call.fingerprint, sealingContextOf(call));
    const claimed = { owner, fingerprint, now, leaseExpiresAt: now + times.lease, expiresAt: now + times.kept };
    return await claimKey(sql, call, claimed);
  }

  /** The answer of the earlier call; undefined where it is still under way, or the key has become free. */
  async function read(call: IdempotentCall): Promise<Uint8Array | undefined> {
    const used = await readKey(sql, call);
    if (used === undefined) return undefined;
    if (secretBox.open(used.fingerprint, sealingContextOf(call)) !== call.fingerprint) throw conflict();
    return used.answer === null
      ? undefined
      : Buffer.from(secretBox.open(used.answer, sealingContextOf(call)), "base64");
  }

  async function workWith(call: IdempotentCall, owner: string, work: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const renewing = setInterval(() => {
      renewKey(sql, call, { owner, leaseExpiresAt: ids.now() + times.lease }).catch(report);
    }, times.lease / 3);
    try {
      return await work();
    } catch (error) {
      await releaseKey(sql, call, owner).catch(report);
      throw error;
    } finally {
      clearInterval(renewing);
    }
  }

  return async (call, work) => {
    checkKey(call.key);
    const owner = newUuid(ids);
    for (let waitedMs = 0, pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
      if (await claim(call, owner)) {
        const answer = await workWith(call, owner, work);
        const sealed = secretBox.seal(Buffer.from(answer).toString("base64"), sealingContextOf(call));
        // The work is done: its caller gets the answer, even if nobody else will.
        await keepAnswer(sql, call, { owner, answer: sealed, expiresAt: ids.now() + times.kept }).catch(report);
        return { answer, replayed: false };
      }
      const answer = await read(call);
      if (answer !== undefined) return { answer, replayed: true };
      if (waitedMs >= times.wait) throw inProgress();
      await delay(pauseMs);
      waitedMs += pauseMs;
    }
  };
}

/** Keys of different callers, and of different methods, have nothing to do with each other. */
export function idempotencyScope(principal: Principal, method: string): string {
  const { kind, id } = principal.actor;
  // Another issuer may know one user in several organizations.
  const whose = principal.kind === "organization" ? `${principal.organizationId} ` : "";
  // A call that is repeated with the operator's next key is still the same.
  return `${whose}${kind === "OPERATOR_KEY" ? kind : `${kind} ${id}`} ${method}`;
}

/** What tells one request from another: SHA-256 over the method and the bytes of the body. */
export function requestFingerprint(method: string, body: Uint8Array): string {
  return hash("sha256", Buffer.concat([Buffer.from(`${method}\n`), body]), "hex");
}

const firstPauseMs = 20;
const maxPauseMs = 500;

/** What is sealed for one key opens for no other: the context for the box. */
export function sealingContextOf({ scope, key }: KeyName): string {
  return `idempotency key\n${scope}\n${key}`;
}

function checkKey(key: string): void {
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return;
  throw invalidFields({
    field: "idempotency-key",
    description: "must be 1 to 255 visible ASCII characters, such as a new UUID for each request that is not a retry",
  });
}

function conflict(): TellwireError {
  return new TellwireError(
    "IDEMPOTENCY_CONFLICT",
    "idempotency-key: was used with another request in the last 24 hours: take a new key for a new request",
  );
}

function inProgress(): TellwireError {
  return new TellwireError(
    "IDEMPOTENCY_IN_PROGRESS",
    "idempotency-key: the first request with this key is still under way: try again soon",
    { retryAfterMs: 1_000 },
  );
}

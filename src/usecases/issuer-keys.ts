import {
  type CryptoKey,
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWTHeaderParameters,
} from "jose";
import { ageMs } from "../domain/age.ts";
import { TellwireError } from "../errors.ts";
import type { UseCaseLog } from "./dependencies.ts";

/**
 * Finds the key of an external issuer that a token names; with `refused`, by which the token did not verify, another one that the issuer has published
 * since. Throws KEY_INVALID where the issuer has none, and JWKS_UNAVAILABLE where that cannot be
 * known, because the issuer's keys cannot be read.
 */
export type FindIssuerKey = (
  header: JWTHeaderParameters,
  token: FlattenedJWSInput,
  refused?: CryptoKey,
) => Promise<CryptoKey>;

export interface IssuerKeysOptions {
  /** Asks the issuer. */
  read: () => Promise<JSONWebKeySet>;
  /** Milliseconds. */
  now: () => number;
  log: UseCaseLog;
  times?: IssuerKeysTimes;
}

/** In milliseconds. */
export interface IssuerKeysTimes {
  /** Between two questions to the issuer at least, however many tokens name keys that are not known. */
  pause: number;
  /** Older keys are read again, beside the calls that use them. */
  fresh: number;
  /** Keys that could not be read again for so long are used no more: one of them may have been withdrawn. */
  usable: number;
}

/**
 * Remembers the issuer's keys. A key that is not among them makes it ask the issuer, but never more than once in `pause`, whoever sends what.
 * While the issuer is away, the keys that are known go on working for a time.
 */
export function createFindIssuerKey({ read, now, log, times = defaultTimes }: IssuerKeysOptions): FindIssuerKey {
  let known: KnownKeys | undefined;
  let reading: Promise<KnownKeys> | undefined;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let lastFailure: unknown;

  const mayAsk = (): boolean => ageMs(askedAtMs, now()) >= times.pause;
  const isUsable = (keys: KnownKeys): boolean => ageMs(keys.readAtMs, now()) < times.usable;

  async function ask(): Promise<KnownKeys> {
    askedAtMs = now();
    try {
      known = { find: createLocalJWKSet(await read()), readAtMs: now() };
      lastFailure = undefined;
      return known;
    } catch (error) {
      lastFailure = error;
      log.backgroundFailure("reading the keys of the tokens' issuer (TELLWIRE_JWT_JWKS_URL)", error);
      throw unavailable(error);
    }
  }

  /** All who want new keys at a time wait for one answer. */
  function askOnce(): Promise<KnownKeys> {
    reading ??= ask().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  async function usableKeys(): Promise<KnownKeys> {
    if (known === undefined || !isUsable(known)) {
      if (reading !== undefined || mayAsk()) return await askOnce();
      throw unavailable(lastFailure);
    }
    if (ageMs(known.readAtMs, now()) >= times.fresh && mayAsk()) {
      // What goes wrong is in the log.
      askOnce().catch(() => undefined);
    }
    return known;
  }

  /** What the issuer has published since; undefined: it was asked a moment ago, and nothing is new. */
  async function newerThan(keys: KnownKeys): Promise<KnownKeys | undefined> {
    if (known !== undefined && known !== keys) return known;
    if (reading !== undefined || mayAsk()) return await askOnce();
    if (lastFailure !== undefined) throw unavailable(lastFailure);
    return undefined;
  }

  return async (header, token, refused) => {
    const keys = await usableKeys();
    const found = await findIn(keys, header, token);
    if (found !== undefined && found !== refused) return found;
    const newer = await newerThan(keys);
    const foundThere = newer && (await findIn(newer, header, token));
    if (foundThere !== undefined) return foundThere;
    throw new TellwireError("KEY_INVALID", "the token is signed with a key that its issuer does not publish");
  };
}

const defaultTimes: IssuerKeysTimes = { pause: 10_000, fresh: 600_000, usable: 3_600_000 };

interface KnownKeys {
  find: ReturnType<typeof createLocalJWKSet>;
  readAtMs: number;
}

async function findIn(
  { find }: KnownKeys,
  header: JWTHeaderParameters,
  token: FlattenedJWSInput,
): Promise<CryptoKey | undefined> {
  try {
    return await find(header, token);
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return undefined;
    throw error;
  }
}

function unavailable(cause: unknown): TellwireError {
  return new TellwireError(
    "JWKS_UNAVAILABLE",
    "the keys of the token's issuer cannot be read, so the token cannot be checked: try again soon",
    { cause, retryAfterMs: 5_000 },
  );
}

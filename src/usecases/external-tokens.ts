import { hash } from "node:crypto";
import { type CryptoKey, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import { LRUCache } from "lru-cache";
import { ageMs } from "../domain/age.ts";
import { endedKey } from "../domain/ended-key.ts";
import type { ExternalIssuer } from "../domain/external-issuer.ts";
import { parseId, publicId } from "../domain/ids.ts";
import { allScopes, isScope, type Scope } from "../domain/scope.ts";
import { TellwireError } from "../errors.ts";
import type { OperatorPrincipal, OrganizationPrincipal } from "./access.ts";
import type { Authenticator } from "./authenticate.ts";
import { claimAt, claimTexts } from "./claims.ts";
import type { FindIssuerKey } from "./issuer-keys.ts";
import type { Organizations } from "./organizations.ts";

export interface ExternalTokensDependencies {
  external: ExternalIssuer;
  findKey: FindIssuerKey;
  organizations: Pick<Organizations, "require">;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/**
 * Lets in whoever has a JWT of the external issuer. Throws KEY_INVALID, with what is wrong and nothing of the token itself, and JWKS_UNAVAILABLE where
 * the issuer's keys cannot be read. A token that was found good is not checked again for five seconds, unless it ends: a stream asks for each of its
 * messages.
 */
export function createExternalTokens(dependencies: ExternalTokensDependencies): Authenticator {
  const { external, organizations, now } = dependencies;
  const known = new LRUCache<string, KnownToken>({ max: 10_000 });

  async function read(jwt: string): Promise<KnownToken> {
    const readAtMs = now();
    const payload = await verify(jwt, dependencies);
    const endsAtMs = (Number(payload.exp) + clockToleranceSeconds) * 1000;
    return { caller: await callerOf(payload), readAtMs, endsAtMs };
  }

  async function callerOf(payload: JWTPayload): Promise<KnownToken["caller"]> {
    const actor = { kind: "EXTERNAL_TOKEN", id: subjectOf(payload) } as const;
    const { operatorClaim } = external;
    if (operatorClaim !== undefined && claimTexts(payload, operatorClaim.claim).includes(operatorClaim.value)) {
      return { kind: "operator", actor, scopes: allScopes };
    }
    const organizationId = organizationOf(payload, external.organizationClaim);
    await organizations.require(organizationId).catch((error: unknown) => {
      throw isNotFound(error)
        ? invalid(`names ${publicId("organization", organizationId)}, which does not exist`)
        : error;
    });
    const scopes = scopesOf(payload, external.scopeClaim);
    return { kind: "organization", organizationId, projectId: undefined, actor, scopes };
  }

  return async ({ keyText: jwt, origin }) => {
    if (jwt === undefined || !signedJwtPattern.test(jwt)) return undefined;
    // The token itself is kept nowhere.
    const name = hash("sha256", jwt, "base64");
    const remembered = known.get(name);
    if (remembered !== undefined && isFresh(remembered, now())) return { ...remembered.caller, origin };
    const token = await read(jwt);
    known.set(name, token);
    return { ...token.caller, origin };
  };
}

/** A token that was found good. Times are in milliseconds since the epoch. */
interface KnownToken {
  caller: Omit<OperatorPrincipal, "origin"> | Omit<OrganizationPrincipal, "origin">;
  readAtMs: number;
  endsAtMs: number;
}

function isFresh({ readAtMs, endsAtMs }: KnownToken, nowMs: number): boolean {
  return ageMs(readAtMs, nowMs) < maxAgeMs && nowMs < endsAtMs;
}

/** For how much longer a key that the issuer has withdrawn may open something. */
const maxAgeMs = 5_000;

/** The compact form of a JWS (RFC 7515, section 3.1). No key of this service has it. */
const signedJwtPattern = /^[\w-]+\.[\w-]*\.[\w-]*$/;

/** Signatures that a public key checks. Nothing with a shared secret, where whoever checks could sign too, and no `none` (RFC 8725, section 3.1). */
const algorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/** How far the clocks of issuer and server may be apart, in seconds. */
const clockToleranceSeconds = 30;

/** Longer tokens are not looked into. All headers of a request together have 16 KiB. */
const maxLength = 8192;

/** It stands in the audit log and in logs: a text of one line, and of a length that both bear. */
const subjectPattern = /^[^\p{C}]{1,255}$/u;

async function verify(jwt: string, { external, findKey, now }: ExternalTokensDependencies): Promise<JWTPayload> {
  if (jwt.length > maxLength) throw invalid(`has more than ${maxLength} characters`);
  const nowMs = now();
  try {
    const { payload, protectedHeader } = await verifySignature(jwt, findKey, {
      algorithms,
      issuer: external.issuer,
      audience: external.audience,
      requiredClaims: ["exp"],
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(nowMs),
    });
    if (!isAccessToken(protectedHeader.typ)) throw invalid("is of a type (typ) other than JWT and at+jwt");
    if (payload.iat !== undefined && payload.iat > nowMs / 1000 + clockToleranceSeconds) {
      throw invalid("was issued in the future (iat): compare the clocks of the issuer and of this server");
    }
    return payload;
  } catch (error) {
    throw error instanceof TellwireError ? error : refusalOf(error);
  }
}

/** An issuer may have replaced its key under the same name, or signs without one: a token that the known key did not sign is tried with a newer one. */
async function verifySignature(jwt: string, findKey: FindIssuerKey, options: JWTVerifyOptions) {
  let used: CryptoKey | undefined;
  try {
    return await jwtVerify(jwt, async (header, token) => (used = await findKey(header, token)), options);
  } catch (error) {
    if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    return await jwtVerify(jwt, (header, token) => findKey(header, token, used), options).catch((second: unknown) => {
      // There is no newer one, or nobody knows.
      throw second instanceof TellwireError ? error : second;
    });
  }
}

/** A JWT that says what it is must say that it is an access token (RFC 9068, section 4), or no more than that it is a JWT. */
function isAccessToken(typ: string | undefined): boolean {
  return typ === undefined || ["jwt", "at+jwt"].includes(typ.toLowerCase().replace(/^application\//, ""));
}

function subjectOf({ sub }: JWTPayload): string {
  if (typeof sub === "string" && subjectPattern.test(sub)) return sub;
  throw invalid("does not say who it stands for: sub must be a text of 1 to 255 visible characters");
}

function organizationOf(payload: JWTPayload, claim: string): string {
  const value = claimAt(payload, claim);
  const id = typeof value === "string" ? parseId("organization", value) : undefined;
  if (id !== undefined) return id;
  throw invalid(`names no organization: its claim ${claim} must be org_ and 26 characters, or a UUID`);
}

/** What is no scope of ours is somebody else's. */
function scopesOf(payload: JWTPayload, claim: string): ReadonlySet<Scope> {
  return new Set(claimTexts(payload, claim).filter(isScope));
}

/** Whatever else goes wrong, be it a key of the issuer that nobody can use, the token has not been shown to be good. */
function refusalOf(error: unknown): TellwireError {
  if (error instanceof errors.JWTExpired) {
    return endedKey(`the token expired at ${timeText(error.payload.exp)}: get another one from its issuer`, error);
  }
  if (error instanceof errors.JWTClaimValidationFailed)
    return invalid(claimRefusals[error.claim] ?? "is no access token");
  if (error instanceof errors.JOSEAlgNotAllowed)
    return invalid(`is signed otherwise than with ${algorithms.join(", ")}`);
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return invalid("names none of its issuer's keys (kid), of which several would do");
  }
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return invalid("has a signature that is not its issuer's");
  return invalid("is no signed JWT that can be checked here", error);
}

const claimRefusals: Readonly<Record<string, string>> = {
  iss: "is of another issuer (iss) than the one that is trusted here",
  aud: "is meant for another audience (aud) than this service",
  exp: "does not say when it expires (exp)",
  nbf: "is not valid yet (nbf)",
  iat: "says no time at which it was issued (iat)",
};

function timeText(seconds: unknown): string {
  const time = new Date(Number(seconds) * 1000);
  return Number.isNaN(time.getTime()) ? "an unknown time" : time.toISOString();
}

function isNotFound(error: unknown): boolean {
  return error instanceof TellwireError && error.reason === "ORGANIZATION_NOT_FOUND";
}

function invalid(what: string, cause?: unknown): TellwireError {
  return new TellwireError("KEY_INVALID", `the token ${what}`, { cause });
}

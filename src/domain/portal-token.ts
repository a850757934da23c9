import { createSecretKey, hash, hkdfSync, type KeyObject } from "node:crypto";
import { errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import { TellwireError } from "../errors.ts";
import { endedKey } from "./ended-key.ts";
import { parseId, publicId } from "./ids.ts";
import type { SecretBox } from "./secret-box.ts";

/** Writes and reads the text of portal tokens: `twp_` and a JWT (RFC 7519) that this service signs and nobody else. */
export interface PortalTokenCodec {
  write(token: PortalToken): Promise<string>;
  /**
   * Reads a text that `write` made and that has not expired at `nowMs`. Throws KEY_INVALID, saying what is wrong; never with the text, or parts of
   * it, in the message.
   */
  read(text: string, nowMs: number): Promise<PortalToken>;
}

/** What a portal token says. Times are in milliseconds since the epoch, in whole seconds, since a JWT holds no more. */
export interface PortalToken {
  /** A UUID. */
  id: string;
  organizationId: string;
  /** Only what belongs to this project; undefined: the whole organization. */
  projectId: string | undefined;
  scopes: readonly string[];
  /** What it was made with, and ends with. */
  maker: PortalTokenMaker;
  issuedAtMs: number;
  expiresAtMs: number;
}

/** An API key by its id (`key_…`), an operator's key by its fingerprint, or a client's certificate by its name. */
export interface PortalTokenMaker {
  kind: (typeof makerKinds)[number];
  id: string;
}

const makerKinds = ["API_KEY", "OPERATOR_KEY", "CLIENT_CERTIFICATE"] as const;

/** What tells a portal token from every other key. */
export const portalTokenPrefix = "twp_";

/** Longer texts are not looked into. One with the longest project, every scope and a long name has less than half of it. */
const maxLength = 4096;

/**
 * The first of the keys for secrets at rest signs, all of them verify: a rotation that leaves the old key in its place ends no session. What signs
 * is not such a key itself but one derived from it for this purpose alone (HKDF, RFC 5869).
 */
export function createPortalTokenCodec({ secretsKeys, secretBox }: PortalTokenSecrets): PortalTokenCodec {
  const signingKeys = secretsKeys.map(deriveKey);
  const [newest] = signingKeys;
  if (newest === undefined) throw new TellwireError("CONFIG_INVALID", "portal tokens need at least one secrets key");

  function keyOf({ kid }: { kid?: string }): KeyObject {
    const found = signingKeys.find(({ id }) => id === kid);
    if (found !== undefined) return found.key;
    throw invalid("was not signed by this server, or with a key that it has no more: get another one");
  }

  /** Whoever holds the token can read it, and an operator's fingerprint or a service's name is no business of theirs. */
  function sealMaker({ kind, id }: PortalTokenMaker, jti: string): string {
    return secretBox.seal(`${kind} ${id}`, makerContext(jti)).toString("base64url");
  }

  function openMaker(sealed: string, jti: string): PortalTokenMaker | undefined {
    const [, kind, id] =
      /^(\S+) (.+)$/s.exec(secretBox.open(Buffer.from(sealed, "base64url"), makerContext(jti))) ?? [];
    const known = makerKinds.find((each) => each === kind);
    return known === undefined || id === undefined ? undefined : { kind: known, id };
  }

  return {
    async write(token) {
      const { id, organizationId, projectId, scopes, maker, issuedAtMs, expiresAtMs } = token;
      const jti = publicId("portalToken", id);
      const project = projectId === undefined ? {} : { project: projectId };
      const jwt = await new SignJWT({ scope: scopes.join(" "), ...project, maker: sealMaker(maker, jti) })
        .setProtectedHeader({ alg: algorithm, typ: type, kid: newest.id })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(publicId("organization", organizationId))
        .setJti(jti)
        .setIssuedAt(toSeconds(issuedAtMs))
        .setExpirationTime(toSeconds(expiresAtMs))
        .sign(newest.key);
      return portalTokenPrefix + jwt;
    },

    async read(text, nowMs) {
      if (text.length > maxLength) throw invalid("is too long to be one of this server");
      try {
        const { payload } = await jwtVerify(text.slice(portalTokenPrefix.length), keyOf, {
          algorithms: [algorithm],
          typ: type,
          issuer,
          audience,
          requiredClaims: ["exp", "iat"],
          currentDate: new Date(nowMs),
        });
        return toToken(payload, openMaker);
      } catch (error) {
        throw error instanceof TellwireError ? error : refusalOf(error);
      }
    },
  };
}

export interface PortalTokenSecrets {
  /** Those of the box, in the same order. */
  secretsKeys: readonly Uint8Array[];
  secretBox: SecretBox;
}

const algorithm = "HS256";
/** Explicit typing (RFC 8725, section 3.11): no other JWT that these keys might ever sign passes for one of these. */
const type = "tellwire-portal+jwt";
const issuer = "tellwire";
const audience = "tellwire-api";

function deriveKey(secretsKey: Uint8Array): { id: string; key: KeyObject } {
  const bytes = Buffer.from(hkdfSync("sha256", secretsKey, "", "tellwire portal token HS256", 32));
  const id = hash("sha256", bytes, "buffer").subarray(0, 8).toString("base64url");
  return { id, key: createSecretKey(bytes) };
}

/** What `write` puts in. Another shape is a version that this one does not know. */
const claims = z.object({
  jti: z.string(),
  sub: z.string(),
  scope: z.string(),
  project: z.string().optional(),
  maker: z.string(),
  iat: z.number(),
  exp: z.number(),
});

function toToken(
  payload: unknown,
  openMaker: (sealed: string, jti: string) => PortalTokenMaker | undefined,
): PortalToken {
  const { data } = claims.safeParse(payload);
  const id = parseId("portalToken", data?.jti ?? "");
  const organizationId = parseId("organization", data?.sub ?? "");
  const maker = data === undefined ? undefined : openMaker(data.maker, data.jti);
  if (data === undefined || id === undefined || organizationId === undefined || maker === undefined) {
    throw invalid("is in no form that this version knows: get another one");
  }
  return {
    id,
    organizationId,
    projectId: data.project,
    scopes: data.scope.split(" ").filter((scope) => scope !== ""),
    maker,
    issuedAtMs: data.iat * 1000,
    expiresAtMs: data.exp * 1000,
  };
}

function makerContext(jti: string): string {
  return `portal token\n${jti}`;
}

function refusalOf(error: unknown): TellwireError {
  if (error instanceof errors.JWTExpired) {
    return endedKey(
      `the token expired at ${new Date(Number(error.payload.exp) * 1000).toISOString()}: get another one`,
    );
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return invalid("was changed: its signature is not that of its content");
  }
  return invalid("is no portal token of this server: check that it is complete", error);
}

function invalid(what: string, cause?: unknown): TellwireError {
  return new TellwireError("KEY_INVALID", `the token ${what}`, { cause });
}

function toSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

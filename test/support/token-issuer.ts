import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";

/** Somebody who issues tokens, and a server that publishes the keys, as the test wants it. */
export interface TokenIssuer {
  /** The value of `iss`. */
  issuer: string;
  jwksUrl: string;
  /** How often the keys were asked for. */
  asked(): number;
  firstKey: SigningKey;
  /** Has the server answer otherwise from now on; undefined: with the keys. */
  answerWith(answer: ((response: ServerResponse) => void) | undefined): void;
  /** Makes a key and publishes it, unless it is to be unpublished. */
  addKey(options?: KeyOptions): Promise<SigningKey>;
  /** Publishes these, whatever they are. */
  publish(keys: readonly object[]): void;
  /** A good token of the issuer's first key, with these claims besides or in place of its own. */
  token(claims?: Record<string, unknown>, options?: { key?: SigningKey; header?: object }): Promise<string>;
  close(): Promise<void>;
}

export interface SigningKey {
  alg: string;
  kid: string;
  privateKey: Parameters<SignJWT["sign"]>[0];
  publicJwk: Record<string, unknown>;
}

export interface KeyOptions {
  alg?: string;
  kid?: string;
  published?: boolean;
}

export const audience = "tellwire-under-test";

/** The clock of the tokens, in milliseconds, is the real one unless `now` is given. */
export async function startTokenIssuer(now: () => number = Date.now): Promise<TokenIssuer> {
  let made = 0;
  let published: object[] = [];
  let asked = 0;
  let answer: ((response: ServerResponse) => void) | undefined;
  const server = createServer((_request, response) => {
    asked += 1;
    if (answer !== undefined) return answer(response);
    response.setHeader("content-type", "application/json").end(JSON.stringify({ keys: published }));
  });
  server.keepAliveTimeout = neverMs;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function addKey({ alg = "ES256", kid = `key-${made}`, published: isPublished = true }: KeyOptions = {}) {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const key: SigningKey = {
      alg,
      kid,
      privateKey,
      publicJwk: { ...(await exportJWK(publicKey)), alg, kid, use: "sig" },
    };
    made += 1;
    if (isPublished) published.push(key.publicJwk);
    return key;
  }

  const firstKey = await addKey();
  return {
    issuer: origin,
    firstKey,
    jwksUrl: `${origin}/jwks.json`,
    asked: () => asked,
    answerWith: (next) => {
      answer = next;
    },
    addKey,
    publish: (next) => {
      published = [...next];
    },
    async token(claims = {}, { key = firstKey, header = {} } = {}) {
      const seconds = Math.floor(now() / 1000);
      const usual = { iss: origin, aud: audience, sub: "user-7", iat: seconds, exp: seconds + 300 };
      return await new SignJWT(withoutUndefined({ ...usual, ...claims }))
        .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
        .sign(key.privateKey, { crit: { "x-unknown": true } });
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Who asks ends an idle connection. The server would end it at the very moment of the next question, now and then. */
const neverMs = 0;

/** Any three parts, signed by nobody: base64url of JSON for objects, texts as they are. */
export function compact(...parts: (object | string)[]): string {
  const text = (part: object | string) => (typeof part === "string" ? part : JSON.stringify(part));
  return parts.map((part) => Buffer.from(text(part)).toString("base64url")).join(".");
}

/** The token with a claim that was not there when it was signed. */
export function tampered(token: string, claims: object): string {
  const [header, payload = "", signature] = token.split(".");
  const changed = { ...(JSON.parse(Buffer.from(payload, "base64url").toString()) as object), ...claims };
  return [header, Buffer.from(JSON.stringify(changed)).toString("base64url"), signature].join(".");
}

/** Claims that are left out. */
function withoutUndefined(claims: Record<string, unknown>): JWTPayload {
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
}

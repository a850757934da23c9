import { TellwireError } from "../errors.ts";
import type { Origin, Principal } from "./access.ts";

/** What a request shows of who makes it. */
export interface Credentials extends Peer {
  /** The text of a key or token, from whichever header the front door reads; undefined: there is none. */
  keyText: string | undefined;
}

/** What a front door knows of the other side, whatever its request says. */
export interface Peer {
  origin: Origin;
  /** Undefined where the client showed none, or was not asked for one. */
  clientCertificate: ClientCertificate | undefined;
}

/** A certificate that a client has shown, and whose private key it has proved to have. */
export interface ClientCertificate {
  /** Its DNS names in lower case, and its URIs. Never the common name: RFC 9525, section 2. */
  names: readonly string[];
  /** Why no authority of the configuration vouches for it; undefined: one does. */
  problem: string | undefined;
  /** Milliseconds since the epoch. */
  expiresAtMs: number;
}

/** Who makes a request. Throws KEY_MISSING for nobody in particular, and KEY_INVALID for what is unknown, expired or revoked. */
export type Authenticate = (credentials: Credentials) => Promise<Principal>;

/** One way to show who one is. Undefined: the credentials are of another kind. */
export type Authenticator = (credentials: Credentials) => Promise<Principal | undefined>;

/** The first way that takes the credentials for its own decides. */
export function createAuthenticate(ways: readonly Authenticator[]): Authenticate {
  return async (credentials) => {
    for (const identify of ways) {
      const principal = await identify(credentials);
      if (principal !== undefined) return principal;
    }
    throw credentials.keyText === undefined ? keyMissing() : keyUnknown();
  };
}

/** KEY_MISSING for a request that shows nothing. */
export function keyMissing(): TellwireError {
  return new TellwireError("KEY_MISSING", "send a key, as the header X-Api-Key: <key> or Authorization: Bearer <key>");
}

/** KEY_INVALID for a text that opens nothing here. The text itself is never repeated. */
function keyUnknown(): TellwireError {
  return keyInvalid("is not known here: check that it is complete and for this server");
}

/** KEY_INVALID; `what` goes on after "the key". */
export function keyInvalid(what: string): TellwireError {
  return new TellwireError("KEY_INVALID", `the key ${what}`);
}

import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { CallRate } from "../domain/call-rate.ts";
import { clientNetwork } from "../domain/client-network.ts";
import { isEndedKey } from "../domain/ended-key.ts";
import { TellwireError } from "../errors.ts";
import type { Authenticate } from "./authenticate.ts";
import type { SharedRates } from "./shared-rates.ts";

export interface FailedLoginsOptions {
  /** How many wrong keys one client may send; null: as many as it likes. */
  rate: CallRate | null;
  rates: SharedRates;
  /** Told of each client that is refused: the network that it is counted by. */
  onRefused: (network: string) => void;
}

/**
 * Bounds how many keys a client tries: once it has sent too many that open nothing, a key from its address is not looked at any more, and is
 * refused with RATE_LIMITED, right or wrong. Keys that this address has opened something with before go on, so that nobody locks out who is
 * behind the same proxy. A key that has expired or was revoked is no guess, and counts for nothing: a page with an old token, which asks again and
 * again, would lock out whoever comes next from its network.
 */
export function limitFailedLogins(authenticate: Authenticate, options: FailedLoginsOptions): Authenticate {
  const { rate, rates, onRefused } = options;
  if (rate === null) return authenticate;
  const opened = new LRUCache<string, true>({ max: maxOpened });

  return async (credentials) => {
    const { keyText, origin } = credentials;
    if (keyText === undefined || origin.address === undefined) return await authenticate(credentials);
    const network = clientNetwork(origin.address);
    // The key itself is kept nowhere.
    const pair = hash("sha256", `${network} ${keyText}`, "base64");
    const { admitted, retryAfterMs } = rates.look(network, rate);
    if (!admitted && !opened.has(pair)) {
      onRefused(network);
      throw tooManyWrongKeys(retryAfterMs);
    }
    try {
      const principal = await authenticate(credentials);
      opened.set(pair, true);
      return principal;
    } catch (error) {
      if (error instanceof TellwireError && error.code === "UNAUTHENTICATED") {
        opened.delete(pair);
        if (!isEndedKey(error)) rates.count(network, rate);
      }
      throw error;
    }
  };
}

const maxOpened = 50_000;

function tooManyWrongKeys(retryAfterMs: number): TellwireError {
  const message = "too many wrong keys came from this address: keys from it are not looked at for a while";
  return new TellwireError("RATE_LIMITED", message, { metadata: { limit: "failed-logins" }, retryAfterMs });
}

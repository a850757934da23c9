import type { CallRate } from "../domain/call-rate.ts";
import type { Limits } from "../domain/limits.ts";
import { type RateLimitHeaders, type RateStanding, rateLimitHeaders } from "../domain/rate-limit-header.ts";
import { TellwireError } from "../errors.ts";
import type { OrganizationPrincipal, Principal } from "./access.ts";
import type { OrganizationLimits } from "./organization-limits.ts";
import type { SharedRates } from "./shared-rates.ts";

/** How many calls somebody may make. */
export interface CallLimits {
  /**
   * Whether a call goes on, asked right after authentication and before anything is done for it. A call that is refused counts for nothing.
   * Operators are not limited: who has their key is the platform itself.
   */
  admit(principal: Principal, kind: CallKind): Promise<CallAdmission>;
}

/** A call whose work is ours alone, or one that makes this service call somebody's receiver at once. */
export type CallKind = "plain" | "calls receiver";

export interface CallAdmission {
  /** For the answer, whatever it is; undefined where no limit holds. */
  headers: RateLimitHeaders | undefined;
  /** RATE_LIMITED with the time to wait; undefined: the call goes on. */
  refusal: TellwireError | undefined;
}

export interface CallLimitsOptions {
  limits: OrganizationLimits;
  rates: SharedRates;
  /** Told of each refusal, with the limit's name. */
  onRefused: (limit: string) => void;
}

export function createCallLimits({ limits, rates, onRefused }: CallLimitsOptions): CallLimits {
  return {
    async admit(principal, kind) {
      if (principal.kind === "operator") return { headers: undefined, refusal: undefined };
      const { organizationId } = principal;
      const own = limits.known(organizationId) ?? (await limits.of(organizationId));
      const held = heldLimits(principal, kind, own);
      if (held.length === 0) return { headers: undefined, refusal: undefined };
      const refused = new Set(held.filter(({ key, rate }) => !rates.look(key, rate).admitted).map(({ name }) => name));
      if (refused.size === 0) {
        for (const { key, rate } of held) rates.count(key, rate);
      }
      for (const name of refused) onRefused(name);
      // Once for headers and refusal, so that they say the same.
      const standings = held.map(({ name, key, rate }) => ({ name, rate, standing: rates.standing(key, rate) }));
      const refusal = refusalOf(standings.filter(({ name }) => refused.has(name)));
      return { headers: rateLimitHeaders(standings), refusal };
    },
  };
}

/** The names of limits, as headers and errors say them. */
const limitNames = { perKey: "key", perOrganization: "organization", receiverCalls: "receiver-calls" } as const;

interface HeldLimit {
  name: string;
  /** Who is counted together. */
  key: string;
  rate: CallRate;
}

function heldLimits({ actor, organizationId }: OrganizationPrincipal, kind: CallKind, limits: Limits): HeldLimit[] {
  const { callsPerKey, calls, receiverCalls } = limits;
  const held: HeldLimit[] = [];
  if (callsPerKey !== null) {
    held.push({ name: limitNames.perKey, key: `${actor.kind} ${organizationId} ${actor.id}`, rate: callsPerKey });
  }
  if (calls !== null) {
    held.push({ name: limitNames.perOrganization, key: `calls ${organizationId}`, rate: calls });
  }
  if (kind === "calls receiver" && receiverCalls !== null) {
    // Not for each key: an organization makes as many keys as it likes.
    held.push({ name: limitNames.receiverCalls, key: `receivers ${organizationId}`, rate: receiverCalls });
  }
  return held;
}

/** Of several limits, the one for which one has to wait longest. */
function refusalOf(refused: readonly RateStanding[]): TellwireError | undefined {
  const [longest] = refused.toSorted((one, other) => other.standing.retryAfterMs - one.standing.retryAfterMs);
  if (longest === undefined) return undefined;
  const { name, rate, standing } = longest;
  const what = descriptions[name] ?? name;
  const pace = `${rate.count} in ${rate.periodMs / 1000} s, ${rate.burst} at once`;
  return new TellwireError("RATE_LIMITED", `too many ${what}: the limit is ${pace}; wait as long as the answer says`, {
    metadata: { limit: name },
    // A moment has passed since it was refused.
    retryAfterMs: Math.max(1, standing.retryAfterMs),
  });
}

const descriptions: Readonly<Record<string, string>> = {
  [limitNames.perKey]: "calls with this key",
  [limitNames.perOrganization]: "calls of this organization",
  [limitNames.receiverCalls]: "calls of this organization that make its receivers be called",
};

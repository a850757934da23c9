import type { LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { TellwireError } from "../errors.ts";
import { classifyAddress, parseAddress, parseRange, type Range, rangeHolds, unmapped } from "./address-class.ts";
import { ExchangeFailure } from "./exchange-failure.ts";
import { createLocalNames } from "./local-names.ts";
import { createNameResolver, type Resolve } from "./name-resolver.ts";

/** Decides which addresses requests may go to. */
export interface AddressGuard {
  /** Whether an address may be connected to. Anything that is not an address in canonical form may not. */
  isAllowed(address: string): boolean;
  /** Whether the operator allows no addresses besides the public ones. */
  isPublicOnly: boolean;
  /** Why an address in a URL is refused, in words for the webhook's owner; undefined where it is allowed. */
  refusal(address: string): string | undefined;
  /**
   * The lookup of a socket (`net.connect`): resolves the name anew, and hands out its addresses only if every one of them is allowed, so
   * that the socket connects to a checked address and to nothing else. Fails with an ExchangeFailure, DNS or ADDRESS_REFUSED.
   * A socket asks no lookup for an address: use `isAllowed` there.
   */
  lookup: LookupFunction;
}

export interface AddressGuardOptions {
  /** Ranges or addresses that are allowed besides the public ones. */
  allow: readonly string[];
  /** Ranges or addresses that are refused in any case; they win over `allow`. */
  deny: readonly string[];
  /**
   * Resolves a name to all its addresses. Left out, DNS is asked, and, where `allow` names addresses besides the public ones, the hosts file
   * and the search domains too.
   */
  resolve?: Resolve;
}

/** Makes a guard. Throws CONFIG_INVALID for a range that cannot be read. */
export function createAddressGuard({ allow, deny, resolve }: AddressGuardOptions): AddressGuard {
  const isPublicOnly = allow.length === 0;
  const ask = resolve ?? createNameResolver({ localNames: isPublicOnly ? undefined : createLocalNames() });
  const allowed = readRanges("TELLWIRE_ALLOW_ADDRESSES", allow);
  const denied = readRanges("TELLWIRE_DENY_ADDRESSES", deny);

  function isAllowed(text: string): boolean {
    const address = parseAddress(text);
    if (address === undefined) return false;
    const { bytes, embedded } = address;
    if (embedded === "hidden" || holds(denied, bytes) || (embedded && holds(denied, embedded))) return false;
    // A form that carries an IPv4 address is allowed as that address only: a range such as ::/0 must not open the IPv4 side.
    return holds(allowed, embedded ?? bytes) || classifyAddress(text) === "public";
  }

  return {
    isAllowed,
    isPublicOnly,
    refusal: (address) => (isAllowed(address) ? undefined : describe(address)),
    lookup(hostname, options, callback) {
      ask(hostname, (error, addresses) => {
        const failure = checkAnswers(error, addresses, isAllowed);
        if (failure) return callback(failure, []);
        const usable = firstOfEachFamily(ofFamily(addresses, options.family));
        const [first] = usable;
        if (first === undefined) return callback(new ExchangeFailure("DNS", NOT_FOUND), []);
        if (options.all) return callback(null, usable);
        return callback(null, first.address, first.family);
      });
    },
  };
}

const NOT_FOUND = "the host name has no address";

/** A name with thousands of addresses must not make one request knock at thousands of doors. */
const MAX_TRIED_OF_FAMILY = 4;

function firstOfEachFamily(addresses: readonly LookupAddress[]): LookupAddress[] {
  return [4, 6].flatMap((family) => addresses.filter((each) => each.family === family).slice(0, MAX_TRIED_OF_FAMILY));
}

function checkAnswers(
  error: Error | null,
  addresses: readonly LookupAddress[],
  isAllowed: (address: string) => boolean,
): ExchangeFailure | undefined {
  if (error) return new ExchangeFailure("DNS", dnsWords(error), error);
  if (addresses.length === 0) return new ExchangeFailure("DNS", NOT_FOUND);
  if (addresses.every(({ address }) => isAllowed(address))) return undefined;
  return new ExchangeFailure("ADDRESS_REFUSED", "the host name stands for an address which requests may not go to");
}

function dnsWords(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOTFOUND" || code === "ENODATA" ? NOT_FOUND : "the host name could not be resolved";
}

/** Sockets ask for 0 (any), 4 or 6; the type allows words as well. */
function ofFamily(addresses: LookupAddress[], wanted: number | "IPv4" | "IPv6" = 0): LookupAddress[] {
  if (wanted === 0) return addresses;
  return addresses.filter(({ family }) => wanted === family || wanted === `IPv${family}`);
}

/** An address is public by its class where only the operator's own list refuses it. */
function describe(address: string): string {
  if (isIP(address) === 0) return `${address} is not an address`;
  const addressClass = classifyAddress(address);
  return addressClass === "public"
    ? `the operator does not allow ${address}`
    : `${address} is a ${addressClass} address, which requests may not go to`;
}

function holds(list: readonly Range[], bytes: readonly number[]): boolean {
  return list.some((range) => rangeHolds(range, bytes));
}

function readRanges(name: string, texts: readonly string[]): Range[] {
  return texts.map((text) => {
    const range = parseRange(text);
    if (range) return unmapped(range);
    const message = `${name}: ${JSON.stringify(text)} is not an address or a range such as 10.0.0.0/8 or fd00::/8`;
    throw new TellwireError("CONFIG_INVALID", message);
  });
}

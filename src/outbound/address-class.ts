import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** What an address is for. Only a `public` one is a receiver's unless the operator says otherwise. */
export type AddressClass =
  | "public"
  | "loopback"
  | "private"
  | "link-local"
  | "multicast"
  | "cloud platform"
  | "reserved"
  | "not an address";

/**
 * An address as bytes (4 or 16), and, for an IPv6 form that carries an IPv4 address, that address, which then is what counts. It is "hidden"
 * where only the network knows its place in the form.
 */
export interface ParsedAddress {
  bytes: readonly number[];
  embedded: readonly number[] | "hidden" | undefined;
}

/**
 * Classifies an address in its canonical text form. Short, octal and hexadecimal IPv4 forms and zone ids are "not an address". IPv6 forms
 * that carry an IPv4 address are what that address is.
 * Sources: the IANA special-purpose address registries (RFC 6890), RFC 4291, RFC 6052, RFC 8215.
 */
export function classifyAddress(text: string): AddressClass {
  const address = parseAddress(text);
  if (address === undefined) return "not an address";
  if (address.embedded === "hidden") return "reserved";
  const judged = address.embedded ?? address.bytes;
  return judged.length === 4 ? classifyIPv4(judged) : classifyIPv6(judged);
}

/** Reads an address in canonical text form; undefined where it is none. */
export function parseAddress(text: string): ParsedAddress | undefined {
  const bytes = parseBytes(text);
  return bytes && { bytes, embedded: bytes.length === 16 ? embeddedIPv4(bytes) : undefined };
}

/** ipaddr.js reads more forms than a socket does, so Node's strict check stands before it. */
function parseBytes(text: string): readonly number[] | undefined {
  return isIP(text) === 0 || text.includes("%") ? undefined : ipaddr.parse(text).toByteArray();
}

/** A range of addresses. */
export interface Range {
  bytes: readonly number[];
  prefixLength: number;
}

/** Reads a range (`10.0.0.0/8`) or a single address; undefined where it is neither. */
export function parseRange(text: string): Range | undefined {
  const [addressText = "", lengthText, ...rest] = text.trim().split("/");
  const bytes = parseBytes(addressText);
  if (bytes === undefined || rest.length > 0) return undefined;
  const bits = bytes.length * 8;
  if (lengthText === undefined) return { bytes, prefixLength: bits };
  const prefixLength = Number(lengthText);
  return /^\d{1,3}$/.test(lengthText) && prefixLength <= bits ? { bytes, prefixLength } : undefined;
}

/** Whether a range holds an address. Families never match each other. */
export function rangeHolds({ bytes, prefixLength }: Range, address: readonly number[]): boolean {
  if (bytes.length !== address.length) return false;
  const wholeBytes = prefixLength >> 3;
  for (let i = 0; i < wholeBytes; i++) if (bytes[i] !== address[i]) return false;
  const mask = 0xff & (0xff00 >> (prefixLength & 7));
  return ((bytes[wholeBytes] ?? 0) & mask) === ((address[wholeBytes] ?? 0) & mask);
}

/** Everything in IPv4 that is not global unicast, and Azure's platform address, which is in the middle of it. */
const IPV4_RANGES = ranges([
  ["0.0.0.0/8", "reserved"],
  ["10.0.0.0/8", "private"],
  ["100.64.0.0/10", "private"],
  ["127.0.0.0/8", "loopback"],
  ["168.63.129.16/32", "cloud platform"],
  ["169.254.0.0/16", "link-local"],
  ["172.16.0.0/12", "private"],
  ["192.0.0.0/24", "reserved"],
  ["192.0.2.0/24", "reserved"],
  ["192.88.99.0/24", "reserved"],
  ["192.168.0.0/16", "private"],
  ["198.18.0.0/15", "reserved"],
  ["198.51.100.0/24", "reserved"],
  ["203.0.113.0/24", "reserved"],
  ["224.0.0.0/4", "multicast"],
  ["240.0.0.0/4", "reserved"],
]);

/** In IPv6 only 2000::/3 is global unicast, less the parts of it that are set aside: here the first match counts. */
const IPV6_RANGES = ranges([
  ["2001::/23", "reserved"],
  ["2001:db8::/32", "reserved"],
  ["2002::/16", "reserved"],
  ["3fff::/20", "reserved"],
  ["2000::/3", "public"],
  ["::1/128", "loopback"],
  ["fc00::/7", "private"],
  ["fe80::/10", "link-local"],
  ["ff00::/8", "multicast"],
]);

function classifyIPv4(bytes: readonly number[]): AddressClass {
  return IPV4_RANGES.find(([range]) => rangeHolds(range, bytes))?.[1] ?? "public";
}

function classifyIPv6(bytes: readonly number[]): AddressClass {
  return IPV6_RANGES.find(([range]) => rangeHolds(range, bytes))?.[1] ?? "reserved";
}

/**
 * The IPv4 address inside mapped (::ffff:0:0/96), compatible (::/96), translated (::ffff:0:0:0/96) and NAT64 addresses (64:ff9b::/96, and
 * 64:ff9b:1::/48 where the 48 bits between are zero: with others its place depends on the network's own prefix, RFC 8215). `::` and `::1` are
 * no compatible addresses.
 */
function embeddedIPv4(bytes: readonly number[]): readonly number[] | "hidden" | undefined {
  if (EMBEDDING_PREFIXES.some((prefix) => rangeHolds(prefix, bytes))) {
    return isUnspecifiedOrLoopback(bytes) ? undefined : bytes.slice(12);
  }
  return rangeHolds(LOCAL_NAT64, bytes) ? "hidden" : undefined;
}

/** A range of mapped addresses (::ffff:0:0/96 and what is in it) as the range of IPv4 that it is; others as they are. */
export function unmapped({ bytes, prefixLength }: Range): Range {
  const isMapped = prefixLength >= 96 && rangeHolds(MAPPED, bytes);
  return isMapped ? { bytes: bytes.slice(12), prefixLength: prefixLength - 96 } : { bytes, prefixLength };
}

const EMBEDDING_PREFIXES = ["::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/96"].map(range);
const LOCAL_NAT64 = range("64:ff9b:1::/48");
const MAPPED = range("::ffff:0:0/96");

function isUnspecifiedOrLoopback(bytes: readonly number[]): boolean {
  return bytes.every((byte, i) => byte === 0 || (i === 15 && byte === 1));
}

function range(text: string): Range {
  const parsed = parseRange(text);
  if (parsed === undefined) throw new Error(`${text} is no range`);
  return parsed;
}

function ranges(table: [string, AddressClass][]): [Range, AddressClass][] {
  return table.map(([text, addressClass]) => [range(text), addressClass]);
}

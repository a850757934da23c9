import type { AddressGuard } from "./address-guard.ts";

/**
 * Why a URL's host is refused before any name is looked up, in words that complete "the URL …"; undefined where it is not. An address in any
 * spelling that a URL knows arrives here in its canonical form. The addresses of a name are checked when a connection is made.
 *
 * A name that means something only inside a network is refused unasked, unless the operator allows addresses besides the public ones:
 * otherwise the answers would tell which names exist there.
 */
export function checkHost(host: string, guard: AddressGuard): string | undefined {
  if (LOOPBACK_NAME.test(host)) {
    return guard.isAllowed("127.0.0.1") ? undefined : `must not lead to this machine: ${host} is a loopback name`;
  }
  if (host.includes(":") || /^[\d.]+$/.test(host)) {
    const refusal = guard.refusal(host);
    return refusal && `must not lead to this address: ${refusal}`;
  }
  if (!HOST_NAME.test(host)) return `must have a host name: ${host} is none`;
  if (guard.isPublicOnly && isPrivateName(host)) return `must not lead into a network: ${host} is no public name`;
  return undefined;
}

/** Labels of up to 63 letters, digits, hyphens and underscores, 253 in all (RFC 1035, 2.3.4). A URL's parser lets more pass than any DNS has. */
const HOST_NAME = /^(?!.{254,}[^.]$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/;

const LOOPBACK_NAME = /(^|\.)localhost\.?$/;

/** Names of one label, and those below the domains that are set aside for networks (RFC 6762, RFC 8375, ICANN's `internal`) or are in use so. */
function isPrivateName(host: string): boolean {
  const labels = host.replace(/\.$/, "").split(".");
  return labels.length === 1 || PRIVATE_DOMAINS.has(labels.at(-1) ?? "");
}

const PRIVATE_DOMAINS: ReadonlySet<string> = new Set([
  "alt",
  "arpa",
  "consul",
  "corp",
  "home",
  "internal",
  "intranet",
  "lan",
  "local",
  "localdomain",
  "onion",
  "private",
  "svc",
]);

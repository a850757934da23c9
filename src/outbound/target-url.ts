import type { AddressGuard } from "./address-guard.ts";
import { checkHost } from "./target-host.ts";

/** What the operator allows of URLs. */
export interface TargetPolicy {
  guard: AddressGuard;
  /** Plain http too. */
  allowHttp: boolean;
  /** Ports below 1024 that are allowed besides 80 and 443. */
  allowPorts: readonly number[];
}

/**
 * Checks a URL that a customer wants to be called at, and answers with what is wrong with it, each part a sentence for the customer; an
 * empty list where nothing is. The name is not resolved here: its addresses are checked at each connection.
 */
export function checkTargetUrl(text: string, policy: TargetPolicy): string[] {
  // Parsers disagree about these characters, and silently drop some (WHATWG URL, 4.1): none has a place in a URL that is well written.
  if (/[\s\\\p{Cc}\p{Cf}]/u.test(text)) return ["must not contain spaces, control characters or backslashes"];
  if (!/^https?:\/\/[^/?#]/i.test(text) || !URL.canParse(text)) {
    return ["must be an absolute URL such as https://example.com/webhooks"];
  }
  const url = new URL(text);
  const violations: string[] = [];
  if (/^[^/]*\/\/[^/?#]*@/.test(text)) {
    violations.push("must not contain user information (user:password@): send an Authorization header instead");
  }
  if (text.includes("#")) violations.push("must not contain a fragment (#…)");
  const refusal = checkScheme(url, policy) ?? checkPort(url, policy);
  if (refusal) violations.push(refusal);
  const hostRefusal = checkHost(hostOf(url), policy.guard);
  if (hostRefusal) violations.push(hostRefusal);
  return violations;
}

/** Why the operator does not allow the scheme; undefined where it does. */
export function checkScheme({ protocol }: URL, { allowHttp }: TargetPolicy): string | undefined {
  if (protocol === "https:" || (protocol === "http:" && allowHttp)) return undefined;
  return "must begin with https://";
}

/** Why the port is not allowed; undefined where it is. Privileged ports belong to services that are not receivers, such as mail. */
export function checkPort(url: URL, { allowPorts }: TargetPolicy): string | undefined {
  const port = portOf(url);
  if (port === 80 || port === 443 || port >= 1024 || allowPorts.includes(port)) return undefined;
  return `must not use port ${port}: of the ports below 1024 only 80 and 443 are allowed`;
}

/** The port that a URL leads to. */
export function portOf(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}

/** The host of a URL as a socket takes it: an IPv6 address without its brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

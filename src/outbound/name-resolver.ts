import { type LookupAddress, Resolver, TIMEOUT } from "node:dns";
import { isIPv6 } from "node:net";
import type { LocalNames } from "./local-names.ts";

/** Resolves a name to all its addresses, in the order in which they are to be tried; none where it has none. */
export type Resolve = (hostname: string, callback: (error: Error | null, addresses: LookupAddress[]) => void) => void;

export interface NameResolverOptions {
  /** DNS servers, `address` or `address:port`. The machine's own if left out. */
  servers?: readonly string[];
  /** The hosts file and the search domains. Left out, a name is a name of DNS, as it stands, and nothing else. */
  localNames?: LocalNames | undefined;
  /** How long the servers get to answer about a name, in each family, however often they are asked meanwhile. */
  patienceMs?: number;
}

/**
 * Makes a resolver that asks DNS for A and AAAA at once, and keeps nothing: each call asks anew. It does not use the system's `getaddrinfo`,
 * which takes one of a few threads for as long as a name's servers are silent: two names of a hostile owner would hold up every other name
 * (docs/decisions/0008-names-are-asked-of-dns.md).
 *
 * A family whose servers fail is left out where the other one has addresses. IPv4 comes first, because many machines have no route for IPv6.
 * `localhost` and the names below it are the loopback addresses, and nobody is asked (RFC 6761, 6.3).
 */
export function createNameResolver(options: NameResolverOptions = {}): Resolve {
  const { servers, localNames, patienceMs = 4_500 } = options;
  // c-ares waits for the time only until a server has answered some questions. From then on it asks one whose answers were quick again much sooner, and
  // then after twice as long each time. So there are tries enough for it to listen until the patience ends, which is counted here.
  const resolver = new Resolver({ timeout: Math.ceil(patienceMs / 3), tries: 6, maxTimeout: patienceMs });
  if (servers) resolver.setServers(servers);

  return (hostname, callback) => {
    const name = hostname.toLowerCase().replace(/\.$/, "");
    const known = LOOPBACK_NAME.test(name) ? LOOPBACK : (localNames?.addressesOf(name) ?? []);
    if (known.length > 0) return queueMicrotask(() => callback(null, known.map(toLookupAddress)));
    const isAbsolute = hostname.endsWith(".");
    const candidates = isAbsolute ? [name] : candidatesOf(name, localNames?.searchDomains() ?? []);
    resolveFirst({ resolver, patienceMs }, candidates).then(
      (addresses) => callback(null, addresses),
      (error) => callback(error, []),
    );
  };
}

const LOOPBACK_NAME = /(^|\.)localhost$/;
const LOOPBACK = ["127.0.0.1", "::1"];

/** A name with a dot is tried as it stands before the search domains, so that what is public stays what it is. */
function candidatesOf(name: string, searchDomains: readonly string[]): string[] {
  const searched = searchDomains.map((domain) => `${name}.${domain}`);
  return name.includes(".") ? [name, ...searched] : [...searched, name];
}

/** The addresses of the first name that has any. A server that fails ends the search: the name may be there. */
async function resolveFirst(asking: Asking, names: readonly string[]): Promise<LookupAddress[]> {
  for (const name of names) {
    const addresses = await resolveName(asking, name);
    if (addresses.length > 0) return addresses;
  }
  return [];
}

/** Empty where the name does not exist or has no address. Rejects where no server answered for either family. */
async function resolveName(asking: Asking, name: string): Promise<LookupAddress[]> {
  const answers = await Promise.all([ask(asking, "resolve4", name), ask(asking, "resolve6", name)]);
  const addresses = answers.flatMap((answer) => (answer instanceof Error ? [] : answer));
  const failure = answers.find((answer) => answer instanceof Error);
  if (addresses.length === 0 && failure !== undefined) throw failure;
  return addresses.map(toLookupAddress);
}

interface Asking {
  resolver: Resolver;
  patienceMs: number;
}

/** Empty where the name does not exist or has no such record; the error where no server answered. */
function ask(
  { resolver, patienceMs }: Asking,
  method: "resolve4" | "resolve6",
  name: string,
): Promise<string[] | Error> {
  return new Promise((resolve) => {
    const onSilence = () => resolve(Object.assign(new Error(`no server answered for ${name}`), { code: TIMEOUT }));
    const timer = setTimeout(onSilence, patienceMs);
    resolver[method](name, (error, addresses) => {
      clearTimeout(timer);
      if (error === null) resolve(addresses);
      else resolve(error.code === "ENOTFOUND" || error.code === "ENODATA" ? [] : error);
    });
  });
}

function toLookupAddress(address: string): LookupAddress {
  return { address, family: isIPv6(address) ? 6 : 4 };
}

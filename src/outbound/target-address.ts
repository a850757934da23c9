import { LRUCache } from "lru-cache";

/** The parts of a URL that a request needs. */
export interface TargetAddress {
  origin: string;
  /** Path and query. */
  path: string;
}

/**
 * Reads URLs, and remembers some of those that were read lately: a webhook's URL is read for each of its requests. Undefined where a text is no URL of
 * http or https: others have no origin, or, as `blob:`, the origin of another URL.
 */
export function createTargetAddresses(): (url: string) => TargetAddress | undefined {
  const known = new LRUCache<string, TargetAddress>({ max: 10_000 });
  let unknown = 0;
  return (text) => {
    // The oldest goes, not the one used least recently: to move an entry with each request costs more than it saves.
    const remembered = known.peek(text);
    if (remembered !== undefined) return remembered;
    const url = URL.parse(text);
    if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) return undefined;
    const address = { origin: url.origin, path: url.pathname + url.search };
    unknown += 1;
    if (unknown % forgottenForOneRemembered === 0) known.set(text, address);
    return address;
  };
}

/**
 * Whoever is called often is soon remembered. With more webhooks than places nearly each one would be pushed out before it is called again, and
 * to remember it costs as much as to read it.
 */
const forgottenForOneRemembered = 16;

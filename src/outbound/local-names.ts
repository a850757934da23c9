import { readFileSync, statSync } from "node:fs";

/** What the machine says about names besides DNS. */
export interface LocalNames {
  /** The addresses of a name in the hosts file, IPv4 first; empty where it is not there. The name in lower case, without a dot at its end. */
  addressesOf(name: string): readonly string[];
  /** The domains in which a name is looked for that is not found as it stands. */
  searchDomains(): readonly string[];
}

export interface LocalNamesOptions {
  hostsPath?: string;
  resolverPath?: string;
}

/**
 * Reads the hosts file and the search domains of resolv.conf (resolv.conf(5)), anew when the files change. A file that cannot be read says
 * nothing: Windows has no resolv.conf, and a container may have neither.
 */
export function createLocalNames(options: LocalNamesOptions = {}): LocalNames {
  const { hostsPath = HOSTS_PATH, resolverPath = "/etc/resolv.conf" } = options;
  const hosts = watched(hostsPath, parseHosts);
  const search = watched(resolverPath, parseSearch);
  return {
    addressesOf: (name) => hosts().get(name) ?? [],
    searchDomains: search,
  };
}

const HOSTS_PATH = process.platform === "win32" ? "C:\\Windows\\System32\\drivers\\etc\\hosts" : "/etc/hosts";

/** Answers with what a file says, and reads it again only when its time has changed. */
function watched<T>(path: string, parse: (text: string) => T): () => T {
  let readAtMs: number | undefined;
  let value = parse("");
  return () => {
    const changedAtMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -1;
    if (changedAtMs !== readAtMs) {
      readAtMs = changedAtMs;
      value = parse(changedAtMs === -1 ? "" : readText(path));
    }
    return value;
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const byName = new Map<string, string[]>();
  for (const [address = "", ...names] of linesOf(text)) {
    for (const name of names) {
      const known = byName.get(name.toLowerCase()) ?? [];
      // An IPv4 address has no colon: it goes before the IPv6 ones.
      byName.set(name.toLowerCase(), address.includes(":") ? [...known, address] : [address, ...known]);
    }
  }
  return byName;
}

/** The last `search` or `domain` line counts. */
function parseSearch(text: string): readonly string[] {
  const [, ...domains] = linesOf(text).findLast(([keyword]) => keyword === "search" || keyword === "domain") ?? [];
  return domains.map((domain) => domain.toLowerCase().replace(/^\.|\.$/g, "")).filter((domain) => domain !== "");
}

/** The words of each line, without comments. */
function linesOf(text: string): string[][] {
  return text.split("\n").map((line) => (line.split(/[#;]/)[0] ?? "").trim().split(/\s+/));
}

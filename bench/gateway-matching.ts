import { parsePathTemplate } from "../src/gateway/path-template.ts";
import { createRouteTrie, type RouteTrie } from "../src/gateway/route-trie.ts";
import { median } from "./median.ts";

/** Finding routes among 10 and among 1,000, in alternating rounds. The times are medians of the rounds, for one match, in nanoseconds. */
export function measureMatching(): MatchingResult {
  const few = createSubject(10);
  const many = createSubject(1000);
  const fewNanos: number[] = [];
  const manyNanos: number[] = [];
  for (const subject of [few, many, few, many]) timeMatches(subject);
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? [few, many] : [many, few];
    for (const subject of order) (subject === few ? fewNanos : manyNanos).push(timeMatches(subject));
  }
  const ratio = median(fewNanos.map((nanos, round) => (manyNanos[round] ?? Number.NaN) / nanos));
  return { rounds, matches: matchesPerRound, fewNanos: median(fewNanos), manyNanos: median(manyNanos), ratio };
}

export interface MatchingResult {
  rounds: number;
  /** How many in each round. */
  matches: number;
  fewNanos: number;
  manyNanos: number;
  /** The median of the rounds' ratios. */
  ratio: number;
}

const rounds = 21;
const matchesPerRound = 200_000;

interface Subject {
  trie: RouteTrie<number>;
  requests: readonly { method: string; path: string; route: number }[];
}

/** The shape of a resource in the contract, in as many copies as it takes. */
const shapes = [
  ["GET", "/v1/%", "/v1/%"],
  ["POST", "/v1/%", "/v1/%"],
  ["GET", "/v1/%/{id}", "/v1/%/wh_01k3a9q7j8f0vb2m4n6p8r1s"],
  ["PATCH", "/v1/%/{thing.id}", "/v1/%/wh_01k3a9q7j8f0vb2m4n6p8r1s"],
  ["POST", "/v1/%/{id}:pause", "/v1/%/wh_01k3a9q7j8f0vb2m4n6p8r1s"],
] as const;

/** Routes, and requests for all of them in turn: as many different ones however many routes there are. */
function createSubject(routeCount: number): Subject {
  const trie = createRouteTrie<number>();
  const targets: Subject["requests"][number][] = [];
  for (let route = 0; route < routeCount; route++) {
    const [method, template, path] = shapes[route % shapes.length] ?? shapes[0];
    const name = `resources-${Math.floor(route / shapes.length)}`;
    trie.add(method, parsePathTemplate(template.replace("%", name)), route);
    targets.push({ method, path: path.replace("%", name) + (template.endsWith(":pause") ? ":pause" : ""), route });
  }
  const requests = Array.from({ length: 1000 }, (_, index) => {
    const target = targets[(index * 7) % routeCount];
    if (target === undefined) throw new Error("there are no routes to match");
    const isOne = target.path.includes("wh_");
    return {
      ...target,
      path: isOne ? target.path.replace("wh_", `wh_${String(index).padStart(4, "0")}`) : target.path,
    };
  });
  return { trie, requests };
}

/** Throws where a match is not the one that it is to be: a fast wrong answer is no result. */
function timeMatches({ trie, requests }: Subject): number {
  const started = process.hrtime.bigint();
  for (let done = 0; done < matchesPerRound; done += requests.length) {
    for (const { method, path, route } of requests) {
      const match = trie.match(method, path);
      if (match.kind !== "found" || match.route !== route) throw new Error(`${method} ${path} found another route`);
    }
  }
  return Number(process.hrtime.bigint() - started) / matchesPerRound;
}

import type { MemoryVerdict } from "./memory.ts";
import type { Store } from "./servers.ts";

/** What came of a run. */
export interface FuzzReport {
  store: Store;
  seed: number;
  requests: number;
  durationMs: number;
  doors: DoorReport[];
  memory: MemoryVerdict;
  findings: Finding[];
  /** How many there were: only the first are kept. */
  findingCount: number;
}

export interface DoorReport {
  door: string;
  requests: number;
  /** How many requests were answered how. */
  answers: Record<string, number>;
}

/** Something that must not be. */
export interface Finding {
  /** Undefined for what shows in the log, in memory or afterwards. */
  door: string | undefined;
  problem: string;
  /** What was sent. */
  request: string | undefined;
}

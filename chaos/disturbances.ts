import { createRandom, type Random } from "./random.ts";

/**
 * What breaks, and when: milliseconds since the beginning, or later where the same server is being disturbed still. A server that is started again
 * is left alone for `aliveMs`, so that kills which follow each other closely are not one long absence.
 */
export type Disturbance = { atMs: number } & (
  | { kind: "kill"; target: Killable; downMs: number; aliveMs: number }
  /** SIGTERM, which a process answers by ending in good order; then it is started again. */
  | { kind: "terminate"; target: ProcessName; downMs: number; aliveMs: number }
  /** The process stands still (SIGSTOP) and goes on as if nothing had been. */
  | { kind: "freeze"; target: ProcessName; forMs: number }
  /** All connections of one process to a server are cut. */
  | { kind: "cut"; link: Link }
  | { kind: "slow"; link: Link; delayMs: number; forMs: number }
  /** Nothing passes; afterwards everything does, in its order. */
  | { kind: "stall"; link: Link; forMs: number }
  /** As after the loss of a network: the connections of before are silent, new ones work; in the end the old ones are cut. */
  | { kind: "lose"; link: Link; forMs: number }
);

export type ProcessName = `tellwire ${number}`;
export type Killable = ProcessName | "postgres" | "nats";

/** The connections of one process to a server. */
export interface Link {
  process: ProcessName;
  server: "postgres" | "nats";
}

export interface DisturbancePlan {
  seed: number;
  broker: "jetstream" | "postgres";
  kills: number;
  processes: number;
  durationMs: number;
}

/** Every disturbance of a run, in the order of the times: it follows from the seed alone. */
export function planDisturbances({ seed, broker, kills, processes, durationMs }: DisturbancePlan): Disturbance[] {
  const random = createRandom(seed, "disturbances");
  const names = Array.from({ length: processes }, (_, index): ProcessName => `tellwire ${index + 1}`);
  const hasNats = broker === "jetstream";
  const planned = [
    ...times(kills).map(() => planKill(random, names, hasNats)),
    ...times(Math.ceil(kills / 6)).map(() => planStandstill(random, names)),
    ...times(kills).map(() => planTrouble(random, names, hasNats)),
  ];
  return planned
    .map((plan): Disturbance => ({ ...plan, atMs: Math.round(random.between(0.03, 0.97) * durationMs) }))
    .sort((one, other) => one.atMs - other.atMs);
}

/** Longer than the lease of a lane, so that another process takes over what this one believes to be its own. */
const beyondLeaseMs = 18_000;

type Plan = Disturbance extends infer Kind ? (Kind extends { atMs: number } ? Omit<Kind, "atMs"> : never) : never;

function planKill(random: Random, names: readonly ProcessName[], hasNats: boolean): Plan {
  const target = random.weighted<Killable>([
    ...names.map((name) => [name, 0.5 / names.length] as const),
    ["postgres", hasNats ? 0.25 : 0.4],
    ["nats", hasNats ? 0.25 : 0],
  ]);
  // A process of Tellwire has begun then, and is up after some seconds more: it is killed while it starts, too.
  return { kind: "kill", target, downMs: Math.round(random.between(0, 2_500)), aliveMs: aliveMs(random) };
}

function planStandstill(random: Random, names: readonly ProcessName[]): Plan {
  const target = anyOf(random, names);
  return random.weighted<Plan>([
    [{ kind: "terminate", target, downMs: Math.round(random.between(0, 1_000)), aliveMs: aliveMs(random) }, 1],
    [{ kind: "freeze", target, forMs: Math.round(random.between(200, 4_000)) }, 0.7],
    [{ kind: "freeze", target, forMs: beyondLeaseMs }, 0.3],
  ]);
}

function planTrouble(random: Random, names: readonly ProcessName[], hasNats: boolean): Plan {
  const server = random.weighted<Link["server"]>([
    ["postgres", 0.6],
    ["nats", hasNats ? 0.4 : 0],
  ]);
  const link = { process: anyOf(random, names), server };
  const shortMs = Math.round(random.between(300, 4_000));
  return random.weighted<Plan>([
    [{ kind: "cut", link }, 0.4],
    [{ kind: "slow", link, delayMs: Math.round(random.between(5, 150)), forMs: shortMs }, 0.3],
    [{ kind: "stall", link, forMs: shortMs }, 0.17],
    [{ kind: "stall", link, forMs: beyondLeaseMs }, 0.03],
    [{ kind: "lose", link, forMs: Math.round(random.between(1_000, 8_000)) }, 0.1],
  ]);
}

function aliveMs(random: Random): number {
  return Math.round(random.between(500, 5_000));
}

function anyOf<Name>(random: Random, names: readonly Name[]): Name {
  return random.weighted(names.map((name) => [name, 1] as const));
}

function times(count: number): unknown[] {
  return Array.from({ length: count });
}

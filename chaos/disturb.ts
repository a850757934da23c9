import { setTimeout as delay } from "node:timers/promises";
import type { Disturbance, Killable } from "./disturbances.ts";
import { restartServer, type Servers } from "./servers.ts";

/** How often what was done, for the report. */
export interface DisturbanceCounts {
  kills: Record<"tellwire" | "postgres" | "nats", number>;
  terminated: number;
  frozen: number;
  cut: number;
  slowed: number;
  stalled: number;
  lost: number;
}

/** Zero of everything. */
export function noDisturbances(): DisturbanceCounts {
  return {
    kills: { tellwire: 0, postgres: 0, nats: 0 },
    terminated: 0,
    frozen: 0,
    cut: 0,
    slowed: 0,
    stalled: 0,
    lost: 0,
  };
}

/**
 * Carries the plan out, each disturbance at its time, and counts in `counts`. What concerns the same server waits for what is done to it
 * already. Resolves when everything is over, every server is started again and every connection passes; rejects where a server does not start.
 */
export async function disturb(
  plan: readonly Disturbance[],
  { servers, counts, elapsedMs }: { servers: Servers; counts: DisturbanceCounts; elapsedMs: () => number },
): Promise<void> {
  const inTurn = new Map<string, Promise<void>>();
  const carriedOut: Promise<void>[] = [];
  for (const disturbance of plan) {
    await delay(Math.max(0, disturbance.atMs - elapsedMs()));
    const subject = subjectOf(disturbance);
    const before = inTurn.get(subject) ?? Promise.resolve();
    const over = before.then(async () => {
      servers.note(JSON.stringify(disturbance));
      await carryOut(disturbance, servers, counts);
      servers.note(`over: ${disturbance.kind} ${subject}`);
    });
    // The last one is not followed by a wait for nothing.
    carriedOut.push(over);
    const done = "aliveMs" in disturbance ? over.then(() => delay(disturbance.aliveMs)) : over;
    // It is awaited at the end: until then a failure is not to end the harness.
    for (const promise of [over, done]) {
      promise.catch(() => {});
    }
    inTurn.set(subject, done);
  }
  await Promise.all(carriedOut);
}

/** What must not be disturbed twice at once. */
function subjectOf(disturbance: Disturbance): string {
  return "link" in disturbance ? `${disturbance.link.process} to ${disturbance.link.server}` : disturbance.target;
}

async function carryOut(disturbance: Disturbance, servers: Servers, counts: DisturbanceCounts): Promise<void> {
  switch (disturbance.kind) {
    case "kill":
      counts.kills[
        disturbance.target === "postgres" || disturbance.target === "nats" ? disturbance.target : "tellwire"
      ] += 1;
      return await kill(disturbance.target, disturbance.downMs, servers);
    case "terminate":
      counts.terminated += 1;
      return await servers.slots.get(disturbance.target)?.end("SIGTERM", disturbance.downMs);
    case "freeze":
      counts.frozen += 1;
      return await servers.slots.get(disturbance.target)?.freeze(disturbance.forMs);
    default:
      return await trouble(disturbance, servers, counts);
  }
}

async function kill(target: Killable, downMs: number, { slots, postgres, nats }: Servers): Promise<void> {
  if (target === "postgres" || target === "nats") {
    const server = target === "postgres" ? postgres : nats;
    if (server !== undefined) {
      await server.kill();
      await delay(downMs);
      await restartServer(server);
    }
    return;
  }
  await slots.get(target)?.end("SIGKILL", downMs);
}

async function trouble(
  disturbance: Extract<Disturbance, { link: unknown }>,
  servers: Servers,
  counts: DisturbanceCounts,
): Promise<void> {
  const proxy = servers.proxyOf(disturbance.link);
  if (proxy === undefined) {
    return;
  }
  switch (disturbance.kind) {
    case "cut":
      counts.cut += 1;
      proxy.cut();
      return;
    case "slow":
      counts.slowed += 1;
      proxy.delay(disturbance.delayMs);
      await delay(disturbance.forMs);
      proxy.delay(0);
      return;
    case "stall":
      counts.stalled += 1;
      proxy.stall();
      await delay(disturbance.forMs);
      proxy.resume();
      return;
    case "lose": {
      counts.lost += 1;
      const endThem = proxy.lose();
      await delay(disturbance.forMs);
      endThem();
      return;
    }
  }
}

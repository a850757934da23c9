import { setTimeout as delay } from "node:timers/promises";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../../../gen/grpc/health/v1/health_pb.ts";
import type { ServingState } from "./serving-state.ts";

export interface HealthServiceOptions {
  serving: ServingState;
  /** The full names of the services that are served. They share one state; "" stands for the whole process. */
  services: readonly string[];
  /** How often the state is looked at for those who watch it, in milliseconds. */
  pollMs?: number;
}

/**
 * The health service of gRPC. An unknown service is NOT_FOUND for Check, and SERVICE_UNKNOWN for Watch, whose stream stays open. When the
 * shutdown begins, each Watch sends NOT_SERVING and ends.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
export function createHealthService({
  serving,
  services,
  pollMs = 5000,
}: HealthServiceOptions): ServiceImpl<typeof Health> {
  const known = new Set(["", ...services]);

  async function status(): Promise<Status> {
    const { ok } = await serving.check();
    return ok ? Status.SERVING : Status.NOT_SERVING;
  }

  return {
    async check({ service }) {
      if (!known.has(service)) throw new ConnectError(`service: ${service} is not served here`, Code.NotFound);
      return { status: await status() };
    },

    async list() {
      const state = { status: await status() };
      return { statuses: Object.fromEntries([...known].map((service) => [service, state])) };
    },

    async *watch({ service }, { signal }) {
      const ended = AbortSignal.any([serving.closing, signal]);
      if (!known.has(service)) {
        yield { status: Status.SERVICE_UNKNOWN };
        await aborted(ended);
        return;
      }
      let sent: Status | undefined;
      while (!signal.aborted) {
        const isLast = serving.closing.aborted;
        const current = await status();
        if (current !== sent) yield { status: current };
        sent = current;
        if (isLast) return;
        await delayOrEnd(pollMs, ended);
      }
    },
  };
}

/** Waits for the time to pass or the signal to abort, whichever is first. */
async function delayOrEnd(ms: number, ended: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: ended }).catch((error: unknown) => {
    if (!ended.aborted) throw error;
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}

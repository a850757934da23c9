import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { createOnceAMinute } from "./telemetry/once-a-minute.ts";
import type { LimitSettings } from "./usecases/dependencies.ts";

/** Turns what the limits tell of themselves into figures, and into lines of the log that no caller can fill it with. */
export function observeLimits({
  log,
  metrics,
  now,
}: {
  log: Log;
  metrics: Metrics;
  now: () => number;
}): Pick<LimitSettings, "onRefused" | "onWrongKeys"> {
  const once = createOnceAMinute(now);
  return {
    onRefused: (limit) => metrics.callsRefused.inc({ limit }),
    onWrongKeys(network) {
      const line = once(network);
      if (line === undefined) return;
      log.warn(
        { network, ...line },
        "so many wrong keys came from a network that its keys are not looked at for a while",
      );
    },
  };
}

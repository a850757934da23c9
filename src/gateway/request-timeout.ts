import { GatewayError } from "./gateway-error.ts";

/**
 * How long a client waits for its answer, in milliseconds: the least of `X-Server-Timeout` (seconds, as Google's APIs have it),
 * `Connect-Timeout-Ms` and `Grpc-Timeout`. Undefined where none is given.
 *
 * @throws {GatewayError} INVALID_TIMEOUT for a value that cannot be read or is longer than `maxTimeoutMs`.
 */
export function readTimeoutMs(header: (name: string) => string | undefined, maxTimeoutMs: number): number | undefined {
  let least: number | undefined;
  for (const [name, parse] of timeoutHeaders) {
    const value = header(name);
    if (value === undefined) continue;
    const timeoutMs = parse(value);
    if (timeoutMs === undefined) {
      throw new GatewayError("INVALID_TIMEOUT", `the header ${name} cannot be read: ${JSON.stringify(value)}`);
    }
    if (timeoutMs > maxTimeoutMs) {
      throw new GatewayError(
        "INVALID_TIMEOUT",
        `the header ${name} asks for ${timeoutMs} ms; the most is ${maxTimeoutMs}`,
      );
    }
    least = least === undefined ? timeoutMs : Math.min(least, timeoutMs);
  }
  return least;
}

const timeoutHeaders: readonly (readonly [string, (value: string) => number | undefined])[] = [
  ["x-server-timeout", parseSeconds],
  ["connect-timeout-ms", parseMilliseconds],
  ["grpc-timeout", parseGrpcTimeout],
];

function parseSeconds(value: string): number | undefined {
  return /^\d{1,10}(?:\.\d{1,9})?$/.test(value) ? Number(value) * 1000 : undefined;
}

function parseMilliseconds(value: string): number | undefined {
  return /^\d{1,10}$/.test(value) ? Number(value) : undefined;
}

const grpcUnitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

function parseGrpcTimeout(value: string): number | undefined {
  const [, amount, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? [];
  const unitMs = grpcUnitsMs[unit];
  return amount === undefined || unitMs === undefined ? undefined : Number(amount) * unitMs;
}

import { measureMatching } from "./gateway-matching.ts";
import { measureProtocols } from "./gateway-protocols.ts";

/**
 * The two goals of the REST gateway: a call by REST costs at most 1.15 times the CPU of the same call by Connect JSON, and finding a route
 * among 1,000 at most 1.5 times finding one among 10. Prints a table for each.
 */
export async function measureGateway(options: { profile: boolean }): Promise<object> {
  const protocols = await measureProtocols(options);
  console.log(`\nCPU of the server process for one call: median of ${protocols.rounds} rounds, in microseconds`);
  console.table(
    protocols.calls.map(({ call, connectMicros, restMicros, ratio }) => ({
      call,
      "Connect JSON": connectMicros.toFixed(1),
      REST: restMicros.toFixed(1),
      ratio: ratio.toFixed(3),
      goal: verdict(ratio, restGoal),
    })),
  );
  console.log(`HTTP alone, as GET /healthz on the same server: ${protocols.floorMicros.toFixed(1)} microseconds`);
  const matching = measureMatching();
  console.log(`\nFinding the route of a path: median of ${matching.rounds} rounds, in nanoseconds`);
  console.table([
    {
      "10 routes": matching.fewNanos.toFixed(0),
      "1,000 routes": matching.manyNanos.toFixed(0),
      ratio: matching.ratio.toFixed(3),
      goal: verdict(matching.ratio, matchingGoal),
    },
  ]);
  return { ...options, goals: { rest: restGoal, matching: matchingGoal }, protocols, matching };
}

const restGoal = 1.15;
const matchingGoal = 1.5;

function verdict(ratio: number, goal: number): string {
  return `at most ${goal}: ${ratio <= goal ? "met" : "MISSED"}`;
}

import { setTimeout as sleep } from "node:timers/promises";

/** Asks again and again until there is an answer. Undefined where there was none within the time. */
export async function poll<Answer>(
  ask: () => Promise<Answer | undefined>,
  timeoutMs: number,
): Promise<Answer | undefined> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined || performance.now() >= deadlineMs) return answer;
    await sleep(pauseMs);
  }
}

const pauseMs = 25;

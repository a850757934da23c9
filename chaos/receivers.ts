import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { chanceOf, createRandom } from "./random.ts";
import { createReceipts, type Receipts } from "./receipts.ts";
import { refusesEvent, type Scenario, type ScenarioWebhook } from "./scenario.ts";

/** The receivers of all webhooks, in one server: the path names the webhook. */
export interface Receivers {
  urlOf(webhook: ScenarioWebhook): string;
  /** By the webhook's index. */
  receipts: readonly Receipts[];
  /** How many requests came, and how many deliveries were answered well at least once. */
  totals(): { requests: number; taken: number };
  /** From now on only what is refused for ever fails. */
  heal(): void;
  close(): Promise<void>;
}

/** Starts the receivers on a free port of the loopback interface. `elapsedMs` is the time since the run's beginning. */
export async function startReceivers(
  scenario: Scenario,
  { durationMs, elapsedMs }: { durationMs: number; elapsedMs: () => number },
): Promise<Receivers> {
  const receipts = scenario.webhooks.map(() => createReceipts(scenario.events));
  const outages = planOutages(scenario.seed, durationMs);
  let requests = 0;
  let taken = 0;
  let healed = false;

  /** What the receiver does with a request for the event, of which it is the `nth`. */
  const reactionTo = (webhook: ScenarioWebhook, number: number, nth: number): Reaction => {
    const { behaviour, index } = webhook;
    if (refusesEvent(scenario, webhook, number)) {
      return "refuse";
    }
    if (healed) {
      return "take";
    }
    if (behaviour.hasOutages && outages.some(([from, to]) => elapsedMs() >= from && elapsedMs() < to)) {
      return "fail";
    }
    const chance = chanceOf(scenario.seed, 2, index, number, nth);
    const { fails = 0, hangs = 0, cuts = 0 } = behaviour;
    if (chance < fails) return "fail";
    if (chance < fails + hangs) return chance < fails + hangs / 2 ? "hang" : "drip";
    if (chance < fails + hangs + cuts) return chance < fails + hangs + cuts / 2 ? "cut" : "cut in the answer";
    return "take";
  };

  const receive = (webhook: ScenarioWebhook, number: number): Reaction => {
    const seen = receipts[webhook.index];
    if (seen === undefined || number >= scenario.events) {
      return "fail";
    }
    requests += 1;
    seen.count[number] = (seen.count[number] ?? 0) + 1;
    seen.firstAt[number] ||= requests;
    seen.lastAt[number] = requests;
    const reaction = reactionTo(webhook, number, seen.count[number] ?? 0);
    if (seen.takenAt[number] !== 0) {
      seen.repeated[number] = (seen.repeated[number] ?? 0) + 1;
    } else if (reaction === "take") {
      seen.takenAt[number] = requests;
      taken += 1;
    }
    return reaction;
  };

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", "http://receiver");
    const challenge = url.searchParams.get("verification_challenge");
    const webhook = scenario.webhooks[Number(url.pathname.slice(1))];
    const number = await readNumber(request).catch(() => undefined);
    if (challenge !== null || webhook === undefined || number === undefined) {
      response.end(challenge ?? "");
      return;
    }
    const reaction = receive(webhook, number);
    const { answersAfterMs = 0 } = webhook.behaviour;
    if (answersAfterMs > 0 && !healed) {
      setTimeout(() => react(response, reaction), answersAfterMs);
    } else {
      react(response, reaction);
    }
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    urlOf: ({ index }) => `http://127.0.0.1:${port}/${index}`,
    receipts,
    totals: () => ({ requests, taken }),
    heal() {
      healed = true;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Reaction = "take" | "refuse" | "fail" | "hang" | "drip" | "cut" | "cut in the answer";

function react(response: ServerResponse, reaction: Reaction): void {
  switch (reaction) {
    case "take":
      response.writeHead(204).end();
      return;
    case "refuse":
      response.writeHead(422).end("not this one");
      return;
    case "fail":
      response.writeHead(503).end("not now");
      return;
    case "hang":
      return;
    case "drip":
      drip(response);
      return;
    case "cut":
      response.socket?.destroy();
      return;
    case "cut in the answer":
      response.socket?.end("HTTP/1.1 2", () => response.socket?.destroy());
      return;
  }
}

/** A failure that never comes to its end, one byte at a time. */
function drip(response: ServerResponse): void {
  response.writeHead(500, { "content-type": "text/plain" });
  const dripping = setInterval(() => response.write("."), 100);
  response.once("close", () => clearInterval(dripping));
}

/** The number of the event in a request's body; undefined where there is none. */
async function readNumber(request: IncomingMessage): Promise<number | undefined> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += chunk;
  }
  return body === "" ? undefined : (JSON.parse(body) as { data: { number: number } }).data.number;
}

/** When the receivers with outages are away: some spans of a few seconds, in milliseconds since the beginning. */
function planOutages(seed: number, durationMs: number): [fromMs: number, toMs: number][] {
  const random = createRandom(seed, "outages");
  return Array.from({ length: Math.ceil(durationMs / 25_000) }, () => {
    const fromMs = random.between(0, durationMs * 0.8);
    return [fromMs, fromMs + random.between(1_500, 6_000)];
  });
}

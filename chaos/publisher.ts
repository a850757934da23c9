import { setTimeout as delay } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { chanceOf } from "./random.ts";
import { eventOf, keyCount, type Scenario, type ScenarioEvent } from "./scenario.ts";

/** What became of each event at its publisher, by its number. */
export const publishStates = { unpublished: 0, accepted: 1, unacknowledged: 2 } as const;

export interface Published {
  /** Values of publishStates. An event that is not acknowledged may have arrived all the same. */
  states: Uint8Array;
  accepted: number;
  unacknowledged: number;
  /** How often something was published again because its acknowledgement did not come. */
  repeated: number;
}

export interface PublisherOptions {
  scenario: Scenario;
  /** By the number of the organization. */
  organizationIds: readonly string[];
  /** The API of some process that is up; undefined while none is. */
  apiUrl: (nth: number) => string | undefined;
  operatorKey: string;
  /** Undefined where the API is the only door. */
  nats: NatsConnection | undefined;
  durationMs: number;
  elapsedMs: () => number;
}

const batchSize = 10;
/** Batches of events without a key that are on their way at once. */
const maxBatches = 32;
const answerTimeoutMs = 5_000;
/** Of the events without a key whose acknowledgement did not come: these are not published again. */
const givenUp = 0.3;

/**
 * Publishes the events, spread over the duration, and tells how far it is in what it answers with at once. The events of a key come from one
 * publisher, which waits for each one's acknowledgement, and publishes it again with its id until it comes.
 */
export function publishEvents(options: PublisherOptions): { published: Published; done: Promise<void> } {
  const { events } = options.scenario;
  const published: Published = { states: new Uint8Array(events), accepted: 0, unacknowledged: 0, repeated: 0 };
  const keyed = Array.from({ length: keyCount }, (_, key) => publishKey(options, published, key));
  const done = Promise.all([...keyed, publishPlain(options, published)]).then(() => {});
  return { published, done };
}

async function publishKey(options: PublisherOptions, published: Published, key: number): Promise<void> {
  for (let number = key * 2; number < options.scenario.events; number += keyCount * 2) {
    await untilDue(options, number);
    await publish(options, published, [eventOf(number)], { maxTries: Number.POSITIVE_INFINITY });
  }
}

async function publishPlain(options: PublisherOptions, published: Published): Promise<void> {
  const { seed, events } = options.scenario;
  const underWay = new Set<Promise<void>>();
  let batch: ScenarioEvent[] = [];
  for (let number = 1; number < events; number += 2) {
    batch.push(eventOf(number));
    if (batch.length < batchSize && number + 2 < events) {
      continue;
    }
    await untilDue(options, number);
    const maxTries = chanceOf(seed, 3, number) < givenUp ? 1 : Number.POSITIVE_INFINITY;
    const publishing = publish(options, published, batch, { maxTries }).finally(() => underWay.delete(publishing));
    underWay.add(publishing);
    batch = [];
    if (underWay.size >= maxBatches) {
      await Promise.race(underWay);
    }
  }
  await Promise.all(underWay);
}

async function untilDue({ scenario, durationMs, elapsedMs }: PublisherOptions, number: number): Promise<void> {
  const leftMs = (number / scenario.events) * durationMs - elapsedMs();
  if (leftMs > 0) {
    await delay(leftMs);
  }
}

/** By way of NATS or of the API, as the seed has it for the first event: what is published again goes the same way. */
async function publish(
  options: PublisherOptions,
  published: Published,
  events: readonly ScenarioEvent[],
  { maxTries }: { maxTries: number },
): Promise<void> {
  const first = events[0]?.orderingKey === undefined ? (events[0]?.number ?? 0) : (events[0].number >> 1) % keyCount;
  const byNats = options.nats !== undefined && chanceOf(options.scenario.seed, 4, first) < 0.5;
  for (let nth = 1; ; nth++) {
    try {
      await (byNats ? publishByNats(options, events) : publishByApi(options, events, nth));
      settle(published, events, "accepted");
      return;
    } catch (error) {
      if (isRefusal(error)) {
        throw error;
      }
      if (nth >= maxTries) {
        settle(published, events, "unacknowledged");
        return;
      }
      published.repeated += 1;
      await delay(100 + 300 * chanceOf(options.scenario.seed, 5, first, nth));
    }
  }
}

function settle(published: Published, events: readonly ScenarioEvent[], state: "accepted" | "unacknowledged"): void {
  published[state] += events.length;
  for (const { number } of events) {
    published.states[number] = publishStates[state];
  }
}

async function publishByNats(
  { nats, organizationIds }: PublisherOptions,
  events: readonly ScenarioEvent[],
): Promise<void> {
  if (nats === undefined) {
    throw new Error("there is no connection to NATS");
  }
  const stream = jetstream(nats, { timeout: answerTimeoutMs });
  await Promise.all(
    events.map(({ number, organization, type, orderingKey }) => {
      const named = headers();
      named.set("ce-id", eventId(number));
      if (orderingKey !== undefined) {
        named.set("tellwire-ordering-key", orderingKey);
      }
      const subject = `tellwire.events.${organizationIds[organization]}.${type}`;
      return stream.publish(subject, JSON.stringify({ number }), { headers: named });
    }),
  );
}

async function publishByApi(
  { apiUrl, operatorKey, organizationIds }: PublisherOptions,
  events: readonly ScenarioEvent[],
  nth: number,
): Promise<void> {
  const url = apiUrl((events[0]?.number ?? 0) + nth);
  if (url === undefined) {
    throw new Error("no process is up");
  }
  const response = await fetch(`${url}/v1/events:batch`, {
    method: "POST",
    headers: { authorization: `Bearer ${operatorKey}`, "content-type": "application/json" },
    body: JSON.stringify({
      events: events.map(({ number, organization, type, orderingKey }) => ({
        organizationId: organizationIds[organization],
        id: eventId(number),
        type,
        orderingKey,
        data: { number },
      })),
    }),
    signal: AbortSignal.timeout(answerTimeoutMs),
  });
  const answer = await response.text();
  if (!response.ok) {
    throw new Refusal(response.status, answer);
  }
}

/** The id that the publisher gives the event. The result is looked up by it. */
function eventId(number: number): string {
  return `chaos-${number}`;
}

class Refusal extends Error {
  readonly status: number;

  constructor(status: number, answer: string) {
    super(`publishing was answered with ${status}: ${answer}`);
    this.status = status;
  }
}

/** The harness did something wrong: to publish again would not help. */
function isRefusal(error: unknown): boolean {
  return error instanceof Refusal && error.status < 500 && error.status !== 429 && error.status !== 408;
}

import { chanceOf } from "./random.ts";

/** The events and webhooks of a run. All of it follows from the seed and an event's number, so that nothing needs to be remembered. */
export interface Scenario {
  seed: number;
  events: number;
  webhooks: readonly ScenarioWebhook[];
}

/** How many organizations there are, each with the same webhooks. */
export const organizationCount = 2;

/** Ordering keys of all organizations together. */
export const keyCount = 50;

export interface ScenarioEvent {
  number: number;
  /** From 0. */
  organization: number;
  type: string;
  /** Its place among the events of its key is that of its number. */
  orderingKey: string | undefined;
}

export interface ScenarioWebhook {
  index: number;
  name: string;
  organization: number;
  eventTypes: readonly string[];
  isOrdered: boolean;
  behaviour: ReceiverBehaviour;
  /** A schedule of its own, for webhooks that refuse some events for ever; else that of the server. */
  retryDelaysMs: readonly number[] | undefined;
  timeoutMs: number | undefined;
}

/** How likely the receiver does what, from 0 to 1 of its requests. What is left is answered well. */
export interface ReceiverBehaviour {
  answersAfterMs?: number;
  fails?: number;
  hangs?: number;
  cuts?: number;
  /** Of its events: these it refuses each time, even at the end. */
  refuses?: number;
  /** Whether it is away at times. */
  hasOutages?: boolean;
}

/** How many attempts a webhook makes that refuses events: few, and soon, so that giving up is seen within a run. */
const shortScheduleMs = [100, 200, 300, 400, 500];

const kinds: readonly Kind[] = [
  { name: "healthy", eventTypes: ["*"], behaviour: {} },
  { name: "flaky", eventTypes: ["plain.*"], behaviour: { fails: 0.2 } },
  { name: "slow", eventTypes: ["plain.a"], behaviour: { answersAfterMs: 40 } },
  { name: "away-at-times", eventTypes: ["plain.a", "keyed.b"], behaviour: { hasOutages: true } },
  { name: "hanging", eventTypes: ["plain.b"], behaviour: { hangs: 0.03 }, timeoutMs: 1_000 },
  { name: "cutting", eventTypes: ["plain.c"], behaviour: { cuts: 0.25 } },
  { name: "refusing", eventTypes: ["plain.d"], behaviour: { refuses: 0.1 }, retryDelaysMs: shortScheduleMs },
  { name: "ordered", eventTypes: ["keyed.*"], behaviour: {}, isOrdered: true },
  {
    name: "ordered-troubled",
    eventTypes: ["keyed.a"],
    behaviour: { fails: 0.05, cuts: 0.03, hangs: 0.003, refuses: 0.04 },
    isOrdered: true,
    retryDelaysMs: shortScheduleMs,
    timeoutMs: 1_000,
  },
];

type Kind = Pick<ScenarioWebhook, "name" | "eventTypes" | "behaviour"> &
  Partial<Pick<ScenarioWebhook, "isOrdered" | "retryDelaysMs" | "timeoutMs">>;

/** With `hasOrdering`, the ordered webhooks ask for `ORDERING_BY_KEY`; without, their order is not looked at. */
export function createScenario({
  seed,
  events,
  hasOrdering,
}: {
  seed: number;
  events: number;
  hasOrdering: boolean;
}): Scenario {
  const webhooks = Array.from({ length: organizationCount }, (_, organization) =>
    kinds.map((kind) => ({ organization, ...kind })),
  ).flat();
  return {
    seed,
    events,
    webhooks: webhooks.map((webhook, index) => ({
      ...webhook,
      index,
      name: `${webhook.name}-${webhook.organization + 1}`,
      isOrdered: hasOrdering && webhook.isOrdered === true,
      retryDelaysMs: webhook.retryDelaysMs,
      timeoutMs: webhook.timeoutMs,
    })),
  };
}

/** Every second event has an ordering key. The key decides the organization. */
export function eventOf(number: number): ScenarioEvent {
  const pair = number >> 1;
  const isKeyed = number % 2 === 0;
  const key = pair % keyCount;
  // Another type for each event of a key, and for each plain one of an organization.
  const type = isKeyed ? Math.floor(pair / keyCount) % 4 : (pair >> 1) % 4;
  return {
    number,
    organization: pair % organizationCount,
    type: `${isKeyed ? "keyed" : "plain"}.${"abcd"[type]}`,
    orderingKey: isKeyed ? `key-${key}` : undefined,
  };
}

/** Whether the webhook is to get the event. */
export function wantsEvent({ organization, eventTypes }: ScenarioWebhook, event: ScenarioEvent): boolean {
  return organization === event.organization && eventTypes.some((pattern) => matches(pattern, event.type));
}

/** Whether the receiver refuses the event for ever. None of the last ones: good deliveries go on until the refused ones are given up. */
export function refusesEvent({ seed, events }: Scenario, webhook: ScenarioWebhook, number: number): boolean {
  const { refuses = 0 } = webhook.behaviour;
  return number < events * 0.9 && chanceOf(seed, 1, webhook.index, number) < refuses;
}

function matches(pattern: string, type: string): boolean {
  return pattern === "*" || pattern === type || (pattern.endsWith(".*") && type.startsWith(pattern.slice(0, -1)));
}

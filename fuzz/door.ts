import { inspect } from "node:util";
import fc from "fast-check";

/** One way into the service, and what is sent through it. */
export interface Door {
  name: string;
  /** How many of its requests are under way at the same time. */
  atOnce: number;
  /** The requests of a seed, each ready to be sent: the same for the same seed, but for the ids that the server has made. */
  plan(seed: number, count: number): Planned[];
  close(): Promise<void> | void;
}

export interface Planned {
  send(): Promise<Answer>;
  /** What is sent, for a person who looks into a finding. */
  describe(): string;
}

/** What came of a request. */
export interface Answer {
  /** How it is counted: a status, a code, `closed`. */
  label: string;
  /** What must not be; undefined where nothing is wrong. */
  problem?: string;
}

export interface DoorParts<Request> {
  name: string;
  /** 16 where it is left out. */
  atOnce?: number;
  requests: () => fc.Arbitrary<Request>;
  send: (request: Request) => Promise<Answer>;
  close?: () => Promise<void> | void;
}

/** Makes a door of an arbitrary and a way to send what it gives. `requests` is asked for each plan, because what is known of the server changes. */
export function makeDoor<Request>({ name, atOnce = 16, requests, send, close }: DoorParts<Request>): Door {
  return {
    name,
    atOnce,
    plan: (seed, count) =>
      fc.sample(requests(), { seed, numRuns: count }).map((request) => ({
        send: () => send(request),
        describe: () => shown(request),
      })),
    close: close ?? (() => {}),
  };
}

const longestShown = 4_000;

function shown(request: unknown): string {
  const text = inspect(request, {
    depth: 6,
    maxStringLength: 2_000,
    maxArrayLength: 200,
    breakLength: Number.POSITIVE_INFINITY,
  });
  return text.length > longestShown ? `${text.slice(0, longestShown)}… (${text.length} characters)` : text;
}

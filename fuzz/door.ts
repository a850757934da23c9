import fc from "fast-check";

/** One way into the service, and what is sent through it. */
export interface Door {
  name: string;
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
  requests: () => fc.Arbitrary<Request>;
  send: (request: Request) => Promise<Answer>;
  close?: () => Promise<void> | void;
}

/** Makes a door of an arbitrary and a way to send what it gives. `requests` is asked for each plan, because what is known of the server changes. */
export function makeDoor<Request>({ name, requests, send, close }: DoorParts<Request>): Door {
  return {
    name,
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
  const text = JSON.stringify(request, (_name, value) =>
    value instanceof Uint8Array ? { bytes: Buffer.from(value).toString("latin1") } : (value as unknown),
  );
  return text.length > longestShown ? `${text.slice(0, longestShown)}… (${text.length} characters)` : text;
}

import type { IncomingMessage } from "./broker.ts";

/** The header with which a deployment marks what it publishes itself, and has counted then. */
export const publisherMarkHeader = "tellwire-publisher";

/** Whether the message has this mark. Publishers on NATS do not know it, so that no message of theirs passes for one that was counted. */
export function hasPublisherMark({ headers }: Pick<IncomingMessage, "headers">, mark: string): boolean {
  return headers[publisherMarkHeader] === mark;
}

import type { Broker, IncomingMessage, RejectReason } from "../broker/broker.ts";
import type { Incarnation } from "../store/sql/incarnation.ts";
import { EventInDoubt } from "./event-in-doubt.ts";
import type { HeldMessages } from "./held-messages.ts";
import type { Started } from "./start-deliveries.ts";

/** What the ends of messages need. */
export interface Settling {
  held: HeldMessages;
  broker: Pick<Broker, "reject">;
  /** What was written before the call, in the incarnation that is returned, is safe. Has told of the failure, where it rejects, to all who share it. */
  flush: () => Promise<Incarnation | undefined>;
  onRejected: (message: IncomingMessage, reason: RejectReason, detail: string) => void;
  onFailure: (error: unknown, messages: number) => void;
}

/** Acknowledges the messages of an event, or has them come again, by what became of its deliveries. `eventIn`: the incarnation that it may be lost with. */
export function settle(
  settling: Settling,
  messages: readonly IncomingMessage[],
  { started, eventIn }: { started: Started; eventIn: Incarnation | undefined },
): void {
  switch (started.kind) {
    case "recorded":
      ack(settling, messages);
      break;
    case "none":
      void ackWhenSafe(settling, messages, eventIn);
      break;
    // What another message of this event has under way is recorded with that one; this one comes again, and finds it.
    case "elsewhere":
      comeAgain(settling, messages);
      break;
    case "failed":
      if (started.error instanceof EventInDoubt) comeAgain(settling, messages);
      else giveBack(settling, messages, started.error);
  }
}

/** Has the messages come again, and tells why. */
export function giveBack(settling: Settling, messages: readonly IncomingMessage[], error: unknown): void {
  comeAgain(settling, messages);
  settling.onFailure(error, messages.length);
}

/** Sets a message aside that is no event, and tells why. */
export function reject(settling: Settling, message: IncomingMessage, reason: RejectReason, detail: string): void {
  settling.onRejected(message, reason, detail);
  void settling.broker.reject(message, reason, detail).then(() => settling.held.forget(message));
}

/** No record of a delivery makes the event safe: it is made so by itself. */
async function ackWhenSafe(
  settling: Settling,
  messages: readonly IncomingMessage[],
  eventIn: Incarnation | undefined,
): Promise<void> {
  const isSafe =
    eventIn === undefined ||
    (await settling.flush().then(
      (incarnation) => incarnation === eventIn,
      () => false,
    ));
  if (isSafe) ack(settling, messages);
  else comeAgain(settling, messages);
}

function ack({ held }: Settling, messages: readonly IncomingMessage[]): void {
  for (const message of messages) held.ack(message);
}

function comeAgain({ held }: Settling, messages: readonly IncomingMessage[]): void {
  for (const message of messages) held.giveBack(message, comeAgainMs);
}

/** What our failure sends back is not asked for again at once: what failed wants a moment. */
const comeAgainMs = 1_000;

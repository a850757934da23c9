import type { Msg, NatsConnection } from "@nats-io/transport-node";
import type { IncomingMessage } from "./broker.ts";

/** A message as a pull consumer of JetStream got it. `onSettled` is called once, when it is acknowledged or given back. */
export function jetStreamMessage(nats: NatsConnection, message: Msg, onSettled: () => void): IncomingMessage {
  const { place, sequence, deliveryCount, publishedAt } = parseAckSubject(message.reply ?? "");
  const { headers, headersProblem } = readHeaders(message);
  let settled = false;
  const settle = (answer: string | Uint8Array): void => {
    // A connection that is closed takes no answer: the message is delivered again, to somebody else.
    if (!settled && !nats.isClosed()) {
      nats.publish(message.reply ?? "", answer);
    }
    settled = true;
    onSettled();
  };
  return {
    place,
    sequence,
    subject: message.subject,
    headers,
    headersProblem,
    body: message.data,
    publishedAt,
    deliveryCount,
    ack: () => settle(acknowledgement),
    nak: (delayMs) => settle(nakAfter(delayMs)),
    working() {
      if (!settled && !nats.isClosed()) {
        nats.publish(message.reply ?? "", "+WPI");
      }
    },
  };
}

const acknowledgement = Buffer.from("+ACK");

/**
 * `$JS.ACK.<stream>.<consumer>.<delivery count>.<sequence>.<consumer's sequence>.<nanoseconds>.<pending>`, or, of servers with domains,
 * `$JS.ACK.<domain>.<account>.<stream>.…` (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-15.md).
 */
export function parseAckSubject(subject: string): {
  /** `<stream>:<sequence>` */
  place: string;
  sequence: number;
  deliveryCount: number;
  publishedAt: Date;
} {
  const dots: number[] = [];
  for (let dot = subject.indexOf("."); dot !== -1; dot = subject.indexOf(".", dot + 1)) {
    dots.push(dot);
  }
  if (dots.length < 7 || !subject.startsWith("$JS.ACK.")) {
    throw new Error(`not the reply subject of a JetStream message: ${subject}`);
  }
  const first = dots.length > 8 ? 4 : 2;
  const token = (index: number): string => subject.slice((dots[first + index - 1] ?? 0) + 1, dots[first + index]);
  return {
    // From text to text: V8 keeps the text of every large number that becomes one for a while, long enough to be old.
    place: `${token(0)}:${token(3)}`,
    sequence: Number(token(3)),
    deliveryCount: Number(token(2)),
    // Nanoseconds are beyond 2^53: the last six digits go before the text becomes a number.
    publishedAt: new Date(Number(token(5).slice(0, -6))),
  };
}

/** How many messages waited behind this one when the server sent it: the part after the time. */
export function waitingBehind(ackSubject: string): number {
  const parts = ackSubject.split(".");
  return Number(parts[parts.length > 9 ? 10 : 8]);
}

function nakAfter(delayMs: number): string {
  // The server takes a fraction of a millisecond for no delay at all.
  const wholeMs = Math.max(0, Math.ceil(delayMs));
  return wholeMs === 0 ? "-NAK" : `-NAK {"delay": ${wholeMs * 1_000_000}}`;
}

function readHeaders(message: Msg): Pick<IncomingMessage, "headers" | "headersProblem"> {
  try {
    const headers: Record<string, string> = Object.create(noProperties);
    for (const [name, values] of message.headers ?? []) {
      headers[name] = values.join(", ");
    }
    return { headers };
  } catch (error) {
    return { headers: {}, headersProblem: error instanceof Error ? error.message : String(error) };
  }
}

/** What headers inherit: a header may have any name, `__proto__` too. */
const noProperties: object = Object.create(null);

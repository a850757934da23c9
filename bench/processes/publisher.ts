import { connect, createInbox, headers, type NatsConnection } from "@nats-io/transport-node";
import { answerCalls } from "../stage/calls.ts";
import { nowMicros } from "../stage/clock.ts";
import { type Quantiles, quantilesOf } from "../stage/quantiles.ts";
import { eventData } from "./event-data.ts";
import { openStreamWriter, refusalOf } from "./stream-writer.ts";

// The publisher. An event counts as published when the stream has said that it holds it.

/** What the publisher can be asked for. */
export interface PublisherCalls {
  connect(parameters: { url: string }): Promise<void>;
  /** As fast as the stream takes them, with up to 256 unanswered, by a plain client of NATS. The subjects take turns. */
  burst(parameters: { subjects: string[]; count: number }): Promise<Published>;
  /** At a constant rate, whatever becomes of those before (open loop). */
  steady(parameters: { subjects: string[]; perSecond: number; seconds: number }): Promise<Published>;
}

/** What was published. Times in microseconds of the machine's clock. */
export interface Published {
  count: number;
  firstAt: number;
  /** When the stream had the last one. */
  lastTakenAt: number;
  /** How much later than its time by the rate each one was published, in milliseconds; of a burst nothing. */
  lateMs: Quantiles;
}

const window = 256;
const silenceMs = 15_000;
const run = `${process.pid}-${Date.now().toString(36)}`;
let server = "";
let connection: NatsConnection | undefined;
let number = 0;

answerCalls<PublisherCalls>({
  async connect({ url }) {
    server = url;
    await connection?.close();
    connection = await connect({ servers: url });
  },
  async burst({ subjects, count }) {
    const nats = connection;
    if (nats === undefined) throw new Error("the publisher is not connected");
    const firstAt = nowMicros();
    let sent = 0;
    const answers = countAnswers(count, (taken) => {
      for (; sent < count && sent - taken < window; sent++) publish(subjects[sent % subjects.length] ?? "");
    });
    // One inbox for the answers to many messages: cheaper than a request each.
    const inbox = createInbox();
    const publish = (subject: string): void => {
      const header = headers();
      header.set("Nats-Msg-Id", `${run}-${number++}`);
      nats.publish(subject, eventData(number), { reply: inbox, headers: header });
    };
    const subscription = nats.subscribe(inbox, {
      callback: (error, message) => answers.take(error ?? refusalOf(message.string())),
    });
    answers.begin();
    try {
      return { count, firstAt, lastTakenAt: await answers.all, lateMs: quantilesOf(new Float64Array()) };
    } finally {
      subscription.unsubscribe();
    }
  },
  async steady({ subjects, perSecond, seconds }) {
    const count = Math.round(perSecond * seconds);
    const late = new Float64Array(count);
    const answers = countAnswers(count);
    const writer = await openStreamWriter(server, answers.take);
    const firstAt = nowMicros();
    let sent = 0;
    const tick = (): void => {
      const now = nowMicros();
      for (; sent < count; sent++) {
        const dueAt = firstAt + (sent / perSecond) * 1e6;
        if (dueAt > now) break;
        late[sent] = (now - dueAt) / 1000;
        writer.publish(subjects[sent % subjects.length] ?? "", `${run}-${number++}`, eventData(number));
      }
      if (sent < count) setTimeout(tick, 1);
    };
    answers.begin();
    tick();
    try {
      return { count, firstAt, lastTakenAt: await answers.all, lateMs: quantilesOf(late) };
    } finally {
      writer.close();
    }
  },
});

/**
 * Counts what the stream says to `count` messages. From `begin` on it may not be silent for long; `onTaken` is called then, and after each answer, with how
 * many there were.
 */
function countAnswers(count: number, onTaken: (taken: number) => void = () => {}) {
  const { promise: all, resolve, reject } = Promise.withResolvers<number>();
  let taken = 0;
  let silence: NodeJS.Timeout | undefined;
  return {
    begin(): void {
      silence = setTimeout(() => reject(new Error(`the stream is silent for ${silenceMs} ms`)), silenceMs);
      onTaken(0);
    },
    take(error?: Error): void {
      if (error !== undefined) reject(error);
      silence?.refresh();
      onTaken(++taken);
      if (taken === count) resolve(nowMicros());
    },
    /** When the stream had the last one. */
    all: all.finally(() => clearTimeout(silence)),
  };
}

import { connect, createInbox, headers, type NatsConnection } from "@nats-io/transport-node";
import { answerCalls } from "../stage/calls.ts";
import { nowMicros } from "../stage/clock.ts";
import { type Quantiles, quantilesOf } from "../stage/quantiles.ts";
import { eventData } from "./event-data.ts";

// The publisher: a plain client of NATS. An event counts as published when the stream has said that it holds it.

/** What the publisher can be asked for. */
export interface PublisherCalls {
  connect(parameters: { url: string }): Promise<void>;
  /** As fast as the stream takes them, with up to 256 unanswered. The subjects take turns. */
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
let connection: NatsConnection | undefined;
let number = 0;

answerCalls<PublisherCalls>({
  async connect({ url }) {
    await connection?.close();
    connection = await connect({ servers: url });
  },
  burst({ subjects, count }) {
    const stream = openStream();
    const firstAt = nowMicros();
    stream.onTaken(() => {
      while (stream.sent < count && stream.sent - stream.taken < window) stream.publish(subjects);
      return stream.taken === count;
    });
    return stream.finished(firstAt, new Float64Array());
  },
  steady({ subjects, perSecond, seconds }) {
    const stream = openStream();
    const count = Math.round(perSecond * seconds);
    const late = new Float64Array(count);
    const firstAt = nowMicros();
    const tick = (): void => {
      const now = nowMicros();
      for (; stream.sent < count; ) {
        const dueAt = firstAt + (stream.sent / perSecond) * 1e6;
        if (dueAt > now) break;
        late[stream.sent] = (now - dueAt) / 1000;
        stream.publish(subjects);
      }
      if (stream.sent < count) setTimeout(tick, 1);
    };
    tick();
    stream.onTaken(() => stream.taken === count);
    return stream.finished(firstAt, late);
  },
});

interface Stream {
  readonly sent: number;
  readonly taken: number;
  publish(subjects: readonly string[]): void;
  /** Called at once and after each answer of the stream, until it says that all is done. */
  onTaken(isDone: () => boolean): void;
  finished(firstAt: number, late: Float64Array): Promise<Published>;
}

/** One inbox for the answers to many messages: cheaper than a request each. */
function openStream(): Stream {
  const nats = connection;
  if (nats === undefined) throw new Error("the publisher is not connected");
  const inbox = createInbox();
  const done = Promise.withResolvers<void>();
  let isDone = (): boolean => false;
  let sent = 0;
  let taken = 0;
  const silence = setTimeout(() => done.reject(new Error(`the stream is silent for ${silenceMs} ms`)), silenceMs);
  const answers = nats.subscribe(inbox, {
    callback(error, message) {
      silence.refresh();
      const text = message.string();
      if (error !== null || text.includes('"error"') || text === "") {
        done.reject(error ?? new Error(`the stream refused an event: ${text}`));
      }
      taken += 1;
      if (isDone()) done.resolve();
    },
  });
  return {
    get sent() {
      return sent;
    },
    get taken() {
      return taken;
    },
    publish(subjects) {
      const header = headers();
      header.set("Nats-Msg-Id", `${run}-${number++}`);
      nats.publish(subjects[sent % subjects.length] ?? "", eventData(number), { reply: inbox, headers: header });
      sent += 1;
    },
    onTaken(next) {
      isDone = next;
      if (isDone()) done.resolve();
    },
    async finished(firstAt, late) {
      try {
        await done.promise;
        return { count: taken, firstAt, lastTakenAt: nowMicros(), lateMs: quantilesOf(late) };
      } finally {
        clearTimeout(silence);
        answers.unsubscribe();
      }
    },
  };
}

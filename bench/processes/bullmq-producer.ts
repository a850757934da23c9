import { randomUUID } from "node:crypto";
import { Queue } from "bullmq";
import { answerCalls } from "../stage/calls.ts";
import { nowMicros } from "../stage/clock.ts";
import { quantilesOf } from "../stage/quantiles.ts";
import type { DeliveryJob } from "./bullmq-job.ts";
import { queueName } from "./bullmq-job.ts";
import { eventData } from "./event-data.ts";
import type { Published } from "./publisher.ts";

// Adds the jobs of one event after the other, one for each webhook that wants it. An event counts as published when Redis has its jobs; as many
// may be unanswered as with the publisher of Tellwire.

/** What the producer can be asked for. */
export interface ProducerCalls {
  connect(parameters: { port: number }): void;
  /** The webhooks of a group want the same events; the groups take turns. */
  burst(parameters: { groups: BullmqWebhook[][]; count: number }): Promise<Published>;
  /** Resolves when no job waits or is under way. */
  settle(parameters: null): Promise<void>;
}

/** A webhook as the code around a queue would know it. */
export interface BullmqWebhook {
  id: string;
  organizationId: string;
  url: string;
}

const window = 256;
let queue: Queue<DeliveryJob> | undefined;

answerCalls<ProducerCalls>({
  connect({ port }) {
    queue = new Queue<DeliveryJob>(queueName, { connection: { host: "127.0.0.1", port } });
  },
  async burst({ groups, count }) {
    const firstAt = nowMicros();
    let sent = 0;
    const addInTurn = async (): Promise<void> => {
      while (sent < count) {
        const number = sent++;
        await add(number, groups[number % groups.length] ?? []);
      }
    };
    await Promise.all(Array.from({ length: window }, addInTurn));
    return { count, firstAt, lastTakenAt: nowMicros(), lateMs: quantilesOf(new Float64Array()) };
  },
  async settle() {
    for (;;) {
      const counts = (await queue?.getJobCounts("active", "waiting", "delayed")) ?? {};
      if (Object.values(counts).every((jobs) => jobs === 0)) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
});

/** All jobs of an event at once, or its only one. */
async function add(number: number, webhooks: readonly BullmqWebhook[]): Promise<void> {
  const eventId = `evt_${randomUUID()}`;
  const timestamp = new Date().toISOString();
  const dataJson = eventData(number);
  const jobs = webhooks.map(({ id, organizationId, url }) => {
    const data: DeliveryJob = { eventId, organizationId, webhookId: id, url, type: "order.paid", timestamp, dataJson };
    return { name: "deliver", data, opts };
  });
  const [only] = jobs;
  if (jobs.length === 1 && only !== undefined) await queue?.add(only.name, only.data, only.opts);
  else await queue?.addBulk(jobs);
}

const opts = { attempts: 10, backoff: { type: "exponential", delay: 5_000 }, removeOnComplete: true };

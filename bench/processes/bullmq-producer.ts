import { randomUUID } from "node:crypto";
import { Queue } from "bullmq";
import { answerCalls } from "../stage/calls.ts";
import { nowMicros } from "../stage/clock.ts";
import { quantilesOf } from "../stage/quantiles.ts";
import type { DeliveryJob } from "./bullmq-job.ts";
import { queueName } from "./bullmq-job.ts";
import { eventData } from "./event-data.ts";
import type { Published } from "./publisher.ts";

// Adds a job for each delivery, many at a time. A job counts as published when Redis has it.

/** What the producer can be asked for. */
export interface ProducerCalls {
  connect(parameters: { port: number }): void;
  burst(parameters: { webhooks: BullmqWebhook[]; count: number }): Promise<Published>;
  /** Resolves when no job waits or is under way. */
  settle(parameters: null): Promise<void>;
}

/** A webhook as the code around a queue would know it. */
export interface BullmqWebhook {
  id: string;
  organizationId: string;
  url: string;
}

const batch = 250;
let queue: Queue<DeliveryJob> | undefined;

answerCalls<ProducerCalls>({
  connect({ port }) {
    queue = new Queue<DeliveryJob>(queueName, { connection: { host: "127.0.0.1", port } });
  },
  async burst({ webhooks, count }) {
    const firstAt = nowMicros();
    for (let first = 0; first < count; first += batch) {
      const numbers = Array.from({ length: Math.min(batch, count - first) }, (_, index) => first + index);
      await queue?.addBulk(numbers.map((number) => jobOf(number, webhooks[number % webhooks.length])));
    }
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

function jobOf(number: number, webhook: BullmqWebhook | undefined) {
  const data: DeliveryJob = {
    eventId: `evt_${randomUUID()}`,
    organizationId: webhook?.organizationId ?? "",
    webhookId: webhook?.id ?? "",
    url: webhook?.url ?? "",
    type: "order.paid",
    timestamp: new Date().toISOString(),
    dataJson: eventData(number),
  };
  const opts = { attempts: 10, backoff: { type: "exponential", delay: 5_000 }, removeOnComplete: true };
  return { name: "deliver", data, opts };
}

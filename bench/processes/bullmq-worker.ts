import { randomUUID } from "node:crypto";
import { Worker } from "bullmq";
import pg from "pg";
import { Pool } from "undici";
import { signatureHeaders } from "../../src/domain/signature.ts";
import { parseSecret, type SigningKey } from "../../src/domain/signing-key.ts";
import { answerCalls } from "../stage/calls.ts";
import { signingSecretOf } from "../stage/signing-secret.ts";
import { type DeliveryJob, queueName } from "./bullmq-job.ts";

// What people write themselves: a worker on a queue that signs, posts, and records each attempt.

/** What the worker can be asked for. */
export interface WorkerCalls {
  start(parameters: WorkerStart): Promise<void>;
}

/** Where the worker works. */
export interface WorkerStart {
  redisPort: number;
  databaseUrl: string;
  /** Of the receiver. */
  origin: string;
  /** Jobs at the same time. */
  concurrency: number;
}

answerCalls<WorkerCalls>({
  async start({ redisPort, databaseUrl, origin, concurrency }) {
    // As many connections to the database as a process of Tellwire opens.
    const database = new pg.Pool({ connectionString: databaseUrl, max: 10 });
    const http = new Pool(origin, { connections: concurrency, pipelining: 1 });
    const keys = createKeys();
    const worker = new Worker<DeliveryJob>(queueName, ({ data, attemptsMade }) => deliver(data, attemptsMade + 1), {
      connection: { host: "127.0.0.1", port: redisPort },
      concurrency,
      removeOnComplete: { count: 0 },
    });
    worker.on("error", (error) => console.error(error));
    await worker.waitUntilReady();

    async function deliver(job: DeliveryJob, number: number): Promise<void> {
      const startedAt = new Date();
      const { pathname: path } = new URL(job.url);
      const body = Buffer.from(`{"type":"${job.type}","timestamp":"${job.timestamp}","data":${job.dataJson}}`);
      const response = await http.request({
        method: "POST",
        path,
        headers: {
          "user-agent": "Worker/1.0",
          "content-type": "application/json",
          ...signatureHeaders({
            id: job.eventId,
            timestampSeconds: Math.floor(startedAt.getTime() / 1000),
            body,
            keys: [keys(path)],
          }),
        },
        body,
        headersTimeout: 15_000,
        bodyTimeout: 15_000,
      });
      await response.body.dump();
      const { statusCode } = response;
      const isDelivered = statusCode >= 200 && statusCode < 300;
      await database.query({
        name: "record",
        text: recordAttempt,
        values: [
          randomUUID(),
          job.organizationId,
          job.webhookId,
          job.eventId,
          job.type,
          isDelivered ? "DELIVERED" : "SCHEDULED",
          number,
          statusCode,
          startedAt,
          Date.now() - startedAt.getTime(),
          job.url,
        ],
      });
      if (!isDelivered) throw new Error(`the receiver answered ${statusCode}`);
    }
  },
});

/** Keys are imported once for each webhook. */
function createKeys(): (path: string) => SigningKey {
  const keys = new Map<string, SigningKey>();
  return (path) => {
    const known = keys.get(path);
    if (known !== undefined) return known;
    const parsed = parseSecret(signingSecretOf(path));
    if (parsed.kind === "refused") throw new Error(`a secret ${parsed.reason}`);
    keys.set(path, parsed.key);
    return parsed.key;
  };
}

const recordAttempt = `
  insert into bench_attempt (id, organization_id, webhook_id, event_id, event_type, status, number, status_code, started_at, latency_ms, url)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`;

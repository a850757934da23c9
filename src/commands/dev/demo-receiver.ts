import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import type { Log } from "../../telemetry/log.ts";

/** A small receiver of webhooks, as a customer would write one. */
export interface DemoReceiver {
  /** `http://127.0.0.1:<port>` */
  url: string;
  /** Requests are refused until the receiver knows the secret that they are signed with. */
  trust(signingSecret: string): void;
  /** Resolves when a request for the event came whose signature is right, also if that was before the call. */
  received(eventId: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * Listens on the loopback interface: answers the verification challenge, and logs each event after checking its signature with the
 * `standardwebhooks` package. Where another program has the port, it takes a free one and says so.
 */
export async function startDemoReceiver({ port, log }: { port: number; log: Log }): Promise<DemoReceiver> {
  let webhook: Webhook | undefined;
  const seen = new Set<string>();
  const waiting = new Map<string, () => void>();

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      log.error({ err: error }, "demo receiver failed");
      respond(response, 500, "failed");
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://receiver");
    const challenge = url.searchParams.get("verification_challenge");
    if (request.method === "GET" && challenge !== null) {
      log.info("demo receiver: agreed to be called (answered the verification challenge)");
      return respond(response, 200, challenge);
    }
    if (request.method !== "POST") return respond(response, 405, "send events by POST");
    const body = await readBody(request);
    if (body === undefined) return respond(response, 413, "the body is too large");
    const refusal = signatureRefusal(webhook, body, request);
    const id = String(request.headers["webhook-id"]);
    if (refusal !== undefined) {
      log.warn({ event: id }, `demo receiver: refused a request, ${refusal}`);
      return respond(response, 401, refusal);
    }
    log.info(`demo receiver: got ${eventTypeOf(body)} at ${url.pathname} (${id}, signature verified)`);
    seen.add(id);
    waiting.get(id)?.();
    respond(response, 200, "thank you");
  }

  const taken = await listen(port);
  if (taken) {
    await listen(0);
    log.warn(`port ${port} is in use by another program: the demo receiver is at ${urlOf(server)} instead`);
  }

  /** Answers whether another program has the port. */
  function listen(wantedPort: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        if (error.code === "EADDRINUSE") resolve(true);
        else reject(error);
      };
      server.once("error", onError);
      server.listen(wantedPort, "127.0.0.1", () => {
        server.off("error", onError);
        resolve(false);
      });
    });
  }

  return {
    url: urlOf(server),
    trust(signingSecret) {
      webhook = new Webhook(signingSecret);
    },
    received: (eventId) => (seen.has(eventId) ? Promise.resolve() : new Promise((done) => waiting.set(eventId, done))),
    close() {
      server.closeAllConnections();
      return new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
      });
    },
  };
}

const maxBodyBytes = 1024 * 1024;

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Why a request is not believed; undefined where its signature is right. The bytes are checked as they came, before anybody reads them. */
function signatureRefusal(webhook: Webhook | undefined, body: Buffer, request: IncomingMessage): string | undefined {
  if (webhook === undefined) return "the receiver does not know the signing secret yet";
  try {
    webhook.verify(body, request.headers as Record<string, string>, { jsonParse: false });
    return undefined;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return `its signature is wrong: ${error.message}`;
    throw error;
  }
}

function eventTypeOf(body: Buffer): string {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    if (typeof parsed === "object" && parsed !== null && "type" in parsed) return String(parsed.type);
  } catch {
    // Said below: the receiver takes bodies that are not JSON too.
  }
  return "an event";
}

function respond(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(text);
}

function urlOf(server: { address(): string | AddressInfo | null }): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

import { Pool } from "undici";
import type { Answer } from "./door.ts";
import { judgeStatus } from "./verdict.ts";

/** A request of HTTP/1.1 as it is meant. */
export interface HttpRequest {
  method: string;
  /** Path and query, raw. */
  target: string;
  headers: Readonly<Record<string, string>>;
  body: Uint8Array | string | undefined;
}

export interface HttpAnswer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Buffer;
}

/** Sends requests to one server over connections that are kept. */
export interface HttpClient {
  /** Undefined where the request cannot be written as HTTP, or the server ended the connection without an answer. */
  send(request: HttpRequest): Promise<HttpAnswer | undefined>;
  close(): Promise<void>;
}

/** What is not answered by then hangs. */
const answerTimeoutMs = 120_000;

export function createHttpClient(origin: string): HttpClient {
  const pool = new Pool(origin, { connections: 32, headersTimeout: answerTimeoutMs, bodyTimeout: answerTimeoutMs });
  return {
    async send({ method, target, headers, body }) {
      try {
        const answer = await pool.request({
          method: method as "POST",
          path: target,
          headers,
          body: body ?? null,
        });
        const bytes = Buffer.from(await answer.body.arrayBuffer());
        return { status: answer.statusCode, headers: answer.headers, body: bytes };
      } catch (error) {
        // An answer that does not come at all would hide a request that hangs.
        if (error instanceof Error && "code" in error && `${error.code}`.endsWith("_TIMEOUT")) throw error;
        return undefined;
      }
    },
    close: () => pool.destroy(),
  };
}

/** Judges what came of a request by its status alone. */
export function judgeAnswer(answer: HttpAnswer | undefined): Answer {
  return answer === undefined
    ? { label: "no answer" }
    : judgeStatus(answer.status, answer.body.toString("utf8", 0, 300));
}

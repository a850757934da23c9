import { Pool } from "undici";
import { signatureHeaders } from "../../src/domain/signature.ts";
import { parseSecret, type SigningKey } from "../../src/domain/signing-key.ts";
import { answerCalls } from "../stage/calls.ts";
import { signingSecretOf } from "../stage/signing-secret.ts";
import { eventData } from "./event-data.ts";

// The ceiling: signed POSTs with undici and nothing else, with the headers and the body of what Tellwire sends.

/** What the sender can be asked for. */
export interface CeilingCalls {
  /** Posts to the paths in turn, over this many connections, for the time. */
  run(parameters: CeilingRun): Promise<{ sent: number; seconds: number }>;
}

/** One run of the sender. */
export interface CeilingRun {
  origin: string;
  paths: string[];
  connections: number;
  seconds: number;
  /** `dispatch` is what costs least in undici; `request` is what people write. */
  by: "dispatch" | "request";
}

const run = Date.now().toString(36);
let number = 0;

answerCalls<CeilingCalls>({
  async run({ origin, paths, connections, seconds, by }) {
    const post = by === "dispatch" ? postByDispatch : postByRequest;
    const pool = new Pool(origin, { connections, pipelining: 1 });
    const targets = paths.map((path) => ({ path, keys: [keyOf(path)] }));
    const started = performance.now();
    const deadline = started + seconds * 1000;
    let sent = 0;
    const sendUntilDeadline = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const next = (): void => {
          if (performance.now() >= deadline) {
            resolve();
            return;
          }
          const target = targets[number % targets.length];
          if (target !== undefined) post(pool, signedRequest(target), next, reject);
          sent += 1;
        };
        next();
      });
    try {
      await Promise.all(Array.from({ length: connections }, sendUntilDeadline));
      return { sent, seconds: (performance.now() - started) / 1000 };
    } finally {
      await pool.close();
    }
  },
});

interface Target {
  path: string;
  keys: SigningKey[];
}

interface SignedRequest {
  method: "POST";
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

function signedRequest({ path, keys }: Target): SignedRequest {
  const timestamp = new Date().toISOString();
  const data = eventData(number++);
  const body = Buffer.from(`{"type":"order.paid","timestamp":"${timestamp}","data":${data}}`);
  const id = `evt_${run}${String(number).padStart(26 - run.length, "0")}`;
  const headers = {
    "user-agent": "Tellwire/0.0.0",
    "accept-encoding": "identity",
    "content-type": "application/json",
    ...signatureHeaders({ id, timestampSeconds: Math.floor(Date.now() / 1000), body, keys }),
  };
  return { method: "POST", path, headers, body };
}

type Post = (pool: Pool, request: SignedRequest, onDone: () => void, onError: (error: Error) => void) => void;

const postByDispatch: Post = (pool, request, onDone, onError) => {
  let status = 0;
  pool.dispatch(request, {
    onRequestStart() {},
    onResponseStart(_controller, statusCode) {
      status = statusCode;
    },
    onResponseData() {},
    onResponseEnd() {
      if (status === 204) onDone();
      else onError(new Error(`the receiver answered ${status}`));
    },
    onResponseError: (_controller, error) => onError(error),
  });
};

const postByRequest: Post = (pool, request, onDone, onError) => {
  const send = async (): Promise<void> => {
    const { statusCode, body } = await pool.request(request);
    await body.dump();
    if (statusCode !== 204) throw new Error(`the receiver answered ${statusCode}`);
  };
  send().then(onDone, onError);
};

function keyOf(path: string): SigningKey {
  const parsed = parseSecret(signingSecretOf(path));
  if (parsed.kind === "refused") throw new Error(`a secret ${parsed.reason}`);
  return parsed.key;
}

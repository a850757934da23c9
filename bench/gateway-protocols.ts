import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { Pool } from "undici";
import { median } from "./median.ts";
import { resultsFolder } from "./save-results.ts";

/**
 * Calls a server in a process of its own by REST and by Connect JSON, in alternating rounds, and asks it for its CPU time before and after
 * each. The times are medians of the rounds, in microseconds of CPU, kernel and garbage collection included.
 */
export async function measureProtocols({ profile }: { profile: boolean }): Promise<ProtocolsResult> {
  const server = await startServer(profile);
  const pool = new Pool(server.url, { connections, pipelining: 1 });
  try {
    const results: CallResult[] = [];
    for (const call of calls) results.push(await measureCall(call, server, pool));
    return { rounds, connections, calls: results, floorMicros: await measureFloor(server, pool) };
  } finally {
    await pool.close();
    await server.stop();
  }
}

export interface ProtocolsResult {
  rounds: number;
  connections: number;
  calls: CallResult[];
  /** A fixed answer without a call, from the same server: what HTTP itself costs in each of the numbers. */
  floorMicros: number;
}

export interface CallResult {
  call: string;
  connectMicros: number;
  restMicros: number;
  /** The median of the rounds' ratios, REST to Connect. */
  ratio: number;
  /** Of each round. */
  ratios: number[];
  /** Of all rounds together, for each protocol. */
  requests: { connect: number; rest: number };
}

const connections = 16;
const rounds = 9;
/** A round ends with whichever comes first. */
const roundCalls = 10_000;
const roundMs = 4_000;

interface Request {
  method: "GET" | "POST";
  path: string;
  headers: Record<string, string>;
  body?: string;
}

interface Call {
  name: string;
  rest: Request;
  connect: Request;
}

const id = "wh_01k3a9q7j8f0vb2m4n6p8r1s3t";
const json = { "content-type": "application/json" };
const connectJson = { ...json, "connect-protocol-version": "1" };
const newWebhook = {
  name: "orders",
  description: "Orders for the shop",
  url: "https://shop.example.com/hooks/orders",
  eventTypes: ["order.*", "invoice.paid"],
  headers: { "x-shop": "7" },
  retryPolicy: { maxAttempts: 5, timeout: "10s" },
};

const calls: readonly Call[] = [
  {
    name: "GetWebhook",
    rest: { method: "GET", path: `/v1/webhooks/${id}`, headers: {} },
    connect: rpc("GetWebhook", { id }),
  },
  {
    name: "CreateWebhook",
    rest: { method: "POST", path: "/v1/webhooks", headers: json, body: JSON.stringify(newWebhook) },
    connect: rpc("CreateWebhook", { webhook: newWebhook }),
  },
];

function rpc(name: string, message: object): Request {
  const path = `/tellwire.v1.WebhookService/${name}`;
  return { method: "POST", path, headers: connectJson, body: JSON.stringify(message) };
}

async function measureCall({ name, rest, connect }: Call, server: Server, pool: Pool): Promise<CallResult> {
  await checkAnswers(pool, rest, connect);
  for (const request of [rest, connect, rest, connect]) await measureRound(request, server, pool);
  const micros = { rest: [] as number[], connect: [] as number[] };
  const requests = { rest: 0, connect: 0 };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (["connect", "rest"] as const) : (["rest", "connect"] as const);
    for (const protocol of order) {
      const { done, cpuMicros } = await measureRound(protocol === "rest" ? rest : connect, server, pool);
      micros[protocol].push(cpuMicros / done);
      requests[protocol] += done;
    }
  }
  const ratios = micros.rest.map((each, round) => each / (micros.connect[round] ?? Number.NaN));
  return {
    call: name,
    connectMicros: median(micros.connect),
    restMicros: median(micros.rest),
    ratio: median(ratios),
    ratios,
    requests,
  };
}

async function measureFloor(server: Server, pool: Pool): Promise<number> {
  const request: Request = { method: "GET", path: "/healthz", headers: {} };
  const micros: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const { done, cpuMicros } = await measureRound(request, server, pool);
    if (round > 0) micros.push(cpuMicros / done);
  }
  return median(micros);
}

/** Both ways must give the same answer, or their costs cannot be compared. REST may show the one resource alone (`response_body`). */
async function checkAnswers(pool: Pool, rest: Request, connect: Request): Promise<void> {
  const [byRest, byConnect] = await Promise.all(
    [rest, connect].map(async (request) => {
      const { statusCode, body } = await pool.request(request);
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`${request.method} ${request.path}: ${statusCode} ${text}`);
      return JSON.parse(text) as { webhook?: unknown };
    }),
  );
  if (isDeepStrictEqual(byRest, byConnect) || isDeepStrictEqual(byRest, byConnect?.webhook)) return;
  throw new Error(`the answers differ: ${JSON.stringify([byRest, byConnect])}`);
}

async function measureRound(
  request: Request,
  server: Server,
  pool: Pool,
): Promise<{ done: number; cpuMicros: number }> {
  const before = await server.cpuMicros();
  const deadline = performance.now() + roundMs;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (done < roundCalls && performance.now() < deadline) {
      done += 1;
      const { statusCode, body } = await pool.request(request);
      await body.dump();
      if (statusCode !== 200) throw new Error(`${request.method} ${request.path}: ${statusCode}`);
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
  return { done, cpuMicros: (await server.cpuMicros()) - before };
}

interface Server {
  url: string;
  /** The CPU time of its process so far, user and system. */
  cpuMicros(): Promise<number>;
  stop(): Promise<void>;
}

async function startServer(profile: boolean): Promise<Server> {
  const path = fileURLToPath(new URL("gateway-server.ts", import.meta.url));
  const execArgv = profile ? ["--cpu-prof", `--cpu-prof-dir=${resultsFolder}`] : [];
  const child = fork(path, { execArgv });
  const { url } = (await nextMessage(child)) as { url: string };
  return {
    url,
    async cpuMicros() {
      const answer = nextMessage(child);
      child.send("cpu");
      return ((await answer) as { cpuMicros: number }).cpuMicros;
    },
    async stop() {
      const exited = once(child, "exit");
      child.disconnect();
      await exited;
    },
  };
}

async function nextMessage(child: ChildProcess): Promise<unknown> {
  const gone = new AbortController();
  const { signal } = gone;
  const exit = once(child, "exit", { signal }).then(([code]) => {
    throw new Error(`the server ended with exit code ${code}`);
  });
  try {
    const [message] = (await Promise.race([once(child, "message", { signal }), exit])) as [unknown];
    return message;
  } finally {
    exit.catch(() => undefined);
    gone.abort();
  }
}

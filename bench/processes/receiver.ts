import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Webhook } from "standardwebhooks";
import { answerCalls } from "../stage/calls.ts";
import { signingSecretOf } from "../stage/signing-secret.ts";
import { headerOf, readRequest } from "./http-request.ts";
import { createReceipts, type ReceiptReport, type Receipts } from "./receipts.ts";

// The counting receiver. It has a port for each way to behave, so that those which behave badly share no connection with the others. The
// first part of a path names the group that a request is counted in: `/<group>/<webhook>`.

/**
 * How a receiver can behave: `ok` answers 204 at once, reading HTTP by itself so as to cost as little as it can; `node` does the same on
 * node:http, as receivers are written; `slow` answers after 100 ms; `fail` answers 500 and resets the connection in turn.
 */
export type Behaviour = "ok" | "node" | "slow" | "hang" | "fail";

/** What the receiver can be asked for. */
export interface ReceiverCalls {
  listen(parameters: null): Promise<Record<Behaviour, number>>;
  reset(parameters: { group: string }): void;
  count(parameters: { group: string }): number;
  report(parameters: { group: string }): ReceiverReport;
  /** Every latency of the report, so that the receipts of several measurements can be taken together exactly. */
  latenciesMs(parameters: { group: string }): number[];
}

/** What arrived, and of every 64th request whether its signature was right, from all groups. */
export interface ReceiverReport extends ReceiptReport {
  signaturesChecked: number;
  signaturesWrong: number;
  /** Connections that were opened since the last reset, from all groups. */
  connectionsOpened: number;
}

const ok = Buffer.from("HTTP/1.1 204 No Content\r\n\r\n");
const failed = Buffer.from("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
const slowMs = 100;
const checkEvery = 64;

const groups = new Map<string, Receipts>();
let received = 0;
let signaturesChecked = 0;
let signaturesWrong = 0;
let connectionsOpened = 0;

const behaviours: Record<Exclude<Behaviour, "node">, (socket: Socket) => void> = {
  ok: (socket) => void socket.write(ok),
  slow: (socket) => void setTimeout(() => socket.write(ok), slowMs),
  hang() {},
  fail(socket) {
    if (received % 2 === 0) socket.write(failed);
    else socket.resetAndDestroy();
  },
};

answerCalls<ReceiverCalls>({
  async listen() {
    const { ok, slow, hang, fail } = behaviours;
    return {
      ok: await listenRaw(ok),
      node: await listen(
        createHttpServer({ noDelay: true, keepAliveTimeout: 60_000 }, serveByNode).on("connection", opened),
      ),
      slow: await listenRaw(slow),
      hang: await listenRaw(hang),
      fail: await listenRaw(fail),
    };
  },
  reset({ group }) {
    groups.delete(group);
    connectionsOpened = 0;
  },
  count: ({ group }) => groups.get(group)?.count() ?? 0,
  report: ({ group }) => ({ ...receiptsOf(group).report(), signaturesChecked, signaturesWrong, connectionsOpened }),
  latenciesMs: ({ group }) => [...receiptsOf(group).latenciesMs()],
});

function listenRaw(answer: (socket: Socket) => void): Promise<number> {
  return listen(createServer({ noDelay: true }, (socket) => serve(socket, answer)));
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => resolve((server.address() as AddressInfo).port));
  });
}

function opened(): void {
  connectionsOpened += 1;
}

function serveByNode(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const [only] = chunks;
    const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
    const header = (name: string): string => String(request.headers[name] ?? "");
    take({ path: request.url ?? "", header, body });
    response.writeHead(204).end();
  });
}

function serve(socket: Socket, answer: (socket: Socket) => void): void {
  opened();
  let unread: Buffer | undefined;
  // The sender may reset its connections.
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    const buffer = unread === undefined ? chunk : Buffer.concat([unread, chunk]);
    let at = 0;
    for (let request = readRequest(buffer, 0); request !== undefined; request = readRequest(buffer, at)) {
      at = request.end;
      const { head, path, body } = request;
      take({ path, header: (name) => headerOf(head, name) ?? "", body });
      answer(socket);
    }
    unread = at === buffer.length ? undefined : buffer.subarray(at);
  });
}

/** What of a request is counted and checked. */
interface Taken {
  path: string;
  header: (name: string) => string;
  body: Buffer;
}

function take({ path, header, body }: Taken): void {
  received += 1;
  receiptsOf(path.slice(1, path.indexOf("/", 1))).add(path, header("webhook-id"), body);
  if (received % checkEvery === 0) check({ path, header, body });
}

function receiptsOf(group: string): Receipts {
  let receipts = groups.get(group);
  if (receipts === undefined) {
    receipts = createReceipts();
    groups.set(group, receipts);
  }
  return receipts;
}

/** A fast sender that signs wrongly is no result. */
function check({ path, header, body }: Taken): void {
  signaturesChecked += 1;
  const names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
  try {
    const signed = Object.fromEntries(names.map((name) => [name, header(name)]));
    new Webhook(signingSecretOf(path)).verify(body.toString(), signed);
  } catch {
    signaturesWrong += 1;
  }
}

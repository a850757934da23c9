import { createServer, type Socket } from "node:net";
import { Webhook } from "standardwebhooks";
import { answerCalls } from "../stage/calls.ts";
import { signingSecretOf } from "../stage/signing-secret.ts";
import { headerOf, type ReceivedRequest, readRequest } from "./http-request.ts";
import { createReceipts, type ReceiptReport, type Receipts } from "./receipts.ts";

// The counting receiver. It has a port for each way to behave, so that those which behave badly share no connection with the others. The
// first part of a path names the group that a request is counted in: `/<group>/<webhook>`.

/** How a receiver can behave: `slow` answers after 100 ms; `fail` answers 500 and resets the connection in turn. */
export type Behaviour = "ok" | "slow" | "hang" | "fail";

/** What the receiver can be asked for. */
export interface ReceiverCalls {
  listen(parameters: null): Promise<Record<Behaviour, number>>;
  reset(parameters: { group: string }): void;
  count(parameters: { group: string }): number;
  report(parameters: { group: string }): ReceiverReport;
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

const behaviours: Record<Behaviour, (socket: Socket) => void> = {
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
    return { ok: await listen(ok), slow: await listen(slow), hang: await listen(hang), fail: await listen(fail) };
  },
  reset({ group }) {
    groups.delete(group);
    connectionsOpened = 0;
  },
  count: ({ group }) => groups.get(group)?.count() ?? 0,
  report: ({ group }) => ({ ...receiptsOf(group).report(), signaturesChecked, signaturesWrong, connectionsOpened }),
});

function listen(answer: (socket: Socket) => void): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => serve(socket, answer));
  return new Promise((resolve) => {
    server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

function serve(socket: Socket, answer: (socket: Socket) => void): void {
  connectionsOpened += 1;
  let unread: Buffer | undefined;
  // The sender may reset its connections.
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    const buffer = unread === undefined ? chunk : Buffer.concat([unread, chunk]);
    let at = 0;
    for (let request = readRequest(buffer, 0); request !== undefined; request = readRequest(buffer, at)) {
      at = request.end;
      take(request);
      answer(socket);
    }
    unread = at === buffer.length ? undefined : buffer.subarray(at);
  });
}

function take({ head, path, body }: ReceivedRequest): void {
  received += 1;
  const id = headerOf(head, "webhook-id") ?? "";
  // A copy: a part of the head would keep all of it in memory.
  const webhookId = Buffer.from(id, "latin1").toString("latin1");
  receiptsOf(path.slice(1, path.indexOf("/", 1))).add(path, webhookId, body);
  if (received % checkEvery === 0) check(head, path, body);
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
function check(head: string, path: string, body: Buffer): void {
  signaturesChecked += 1;
  const names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
  try {
    const signed = Object.fromEntries(names.map((name) => [name, headerOf(head, name) ?? ""]));
    new Webhook(signingSecretOf(path)).verify(body.toString(), signed);
  } catch {
    signaturesWrong += 1;
  }
}

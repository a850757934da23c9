import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** What the publisher needs of NATS at a constant rate: messages for a stream, and the stream's answers to them. */
export interface StreamWriter {
  /** Goes out with the other messages of this turn of the event loop, in one write. `data` is ASCII. */
  publish(subject: string, messageId: string, data: string): void;
  close(): void;
}

/**
 * Writes the NATS protocol (https://docs.nats.io/reference/reference-protocols/nats-protocol) by itself, and reads of the answers only how many they
 * are: the client of NATS costs a third more for an event, and the cores are shared with what is measured.
 *
 * @param onAnswer told of each message that the stream holds, or with the error of one that it refuses, or of the connection.
 */
export async function openStreamWriter(url: string, onAnswer: (error?: Error) => void): Promise<StreamWriter> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await once(socket, "connect");
  const inbox = `_INBOX.${process.pid}.${(opened++).toString(36)}`;
  socket.write(`CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\nSUB ${inbox} 1\r\n`);
  readAnswers(socket, onAnswer);
  let unwritten = "";
  const write = (): void => {
    socket.write(unwritten, "latin1");
    unwritten = "";
  };
  return {
    publish(subject, messageId, data) {
      if (unwritten === "") queueMicrotask(write);
      const head = `NATS/1.0\r\nNats-Msg-Id: ${messageId}\r\n\r\n`;
      unwritten += `HPUB ${subject} ${inbox} ${head.length} ${head.length + data.length}\r\n${head}${data}\r\n`;
    },
    close: () => void socket.destroy(),
  };
}

/** What a stream's answer says against the event, or the answer without content of a server where no stream takes its subject. */
export function refusalOf(answer: string): Error | undefined {
  const isRefused = answer.includes('"error"') || !answer.includes('"seq"');
  return isRefused ? new Error(`the stream refused an event: ${answer}`) : undefined;
}

let opened = 0;

function readAnswers(socket: Socket, onAnswer: (error?: Error) => void): void {
  let unread = "";
  const readOne = (): boolean => {
    const end = unread.indexOf("\r\n");
    if (end === -1) return false;
    const line = unread.slice(0, end);
    const isMessage = line.startsWith("MSG ") || line.startsWith("HMSG ");
    const bodyEnd = isMessage ? end + 2 + Number(line.slice(line.lastIndexOf(" ") + 1)) : end;
    if (unread.length < bodyEnd + 2) return false;
    const body = unread.slice(end + 2, bodyEnd);
    unread = unread.slice(bodyEnd + 2);
    if (line === "PING") socket.write("PONG\r\n");
    else if (line.startsWith("-ERR")) onAnswer(new Error(`nats-server says ${line}`));
    else if (isMessage) onAnswer(refusalOf(body));
    return true;
  };
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    unread += chunk;
    while (readOne());
  });
  socket.on("error", onAnswer);
}

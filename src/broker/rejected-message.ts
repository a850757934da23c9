import type { IncomingMessage, OutgoingMessage, RejectReason } from "./broker.ts";
import { publisherMarkHeader } from "./publisher-mark.ts";
import { rejectedSubject } from "./subjects.ts";

export interface Rejection {
  message: Pick<IncomingMessage, "subject" | "headers" | "body">;
  reason: RejectReason;
  detail: string;
}

/**
 * The message that keeps a rejected one: its headers and body as they were, and headers that say why. Headers that NATS itself would act on
 * (`Nats-Msg-Id`, `Nats-Rollup`, …) are kept as `Tellwire-Original-Nats-…`. What does not fit into `maxBytes` (headers and body) is cut, the
 * body first, and `Tellwire-Truncated` says so.
 */
export function rejectedMessage(
  { message, reason, detail }: Rejection,
  options: { subjectPrefix: string; maxBytes: number },
): OutgoingMessage {
  const subject = rejectedSubject(options.subjectPrefix, message.subject);
  const why = {
    "Tellwire-Reject-Reason": reason,
    "Tellwire-Reject-Detail": oneLine(detail),
    "Tellwire-Original-Subject": message.subject,
  };
  const headers = { ...withoutEffect(message.headers), ...why };
  if (bytesOf(headers) + message.body.byteLength <= options.maxBytes) {
    return { subject, headers, body: message.body };
  }
  const cut = { ...headers, "Tellwire-Truncated": `body was ${message.body.byteLength} bytes` };
  if (bytesOf(cut) <= options.maxBytes) {
    return { subject, headers: cut, body: message.body.subarray(0, options.maxBytes - bytesOf(cut)) };
  }
  const bare = { ...why, "Tellwire-Truncated": "headers and body" };
  return { subject, headers: bare, body: new Uint8Array() };
}

const maxDetailLength = 1000;

function oneLine(detail: string): string {
  return detail.replaceAll(/\s+/g, " ").slice(0, maxDetailLength);
}

function withoutEffect(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers)
      // Readers of rejected messages need not know it.
      .filter(([name]) => name.toLowerCase() !== publisherMarkHeader)
      .map(([name, value]) => [name.toLowerCase().startsWith("nats-") ? `Tellwire-Original-${name}` : name, value]),
  );
}

/** As NATS writes them: `NATS/1.0\r\n`, a line for each, an empty line. */
function bytesOf(headers: Readonly<Record<string, string>>): number {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.byteLength(`NATS/1.0\r\n${lines.join("")}\r\n`);
}

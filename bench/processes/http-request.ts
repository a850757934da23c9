/** A request whose last byte has arrived. */
export interface ReceivedRequest {
  /** The request line and the headers, as text. */
  head: string;
  path: string;
  body: Buffer;
  /** Where the next request begins. */
  end: number;
}

/**
 * Reads the request that begins at `start`; undefined where the rest of it has not arrived. It knows HTTP/1.1 with `content-length` only,
 * which is what the senders here use: node:http costs several times as much, and would be the bottleneck of the measurement.
 */
export function readRequest(buffer: Buffer, start: number): ReceivedRequest | undefined {
  const headEnd = buffer.indexOf(endOfHead, start);
  if (headEnd === -1) return undefined;
  const head = buffer.toString("latin1", start, headEnd + 2);
  const bodyStart = headEnd + 4;
  const end = bodyStart + Number(headerOf(head, "content-length") ?? 0);
  if (end > buffer.length) return undefined;
  const pathStart = head.indexOf(" ") + 1;
  const path = head.slice(pathStart, head.indexOf(" ", pathStart));
  return { head, path, body: buffer.subarray(bodyStart, end), end };
}

/** The value of a header, by its name in lower case. The senders here write names in lower case too; others are found more slowly. */
export function headerOf(head: string, name: string): string | undefined {
  let start = head.indexOf(`\n${name}: `);
  if (start === -1) start = head.toLowerCase().indexOf(`\n${name}: `);
  if (start === -1) return undefined;
  return head.slice(start + name.length + 3, head.indexOf("\r", start));
}

const endOfHead = "\r\n\r\n";

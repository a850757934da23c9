import { isAboutContent } from "../store/is-about-content.ts";
import type { Sql } from "../store/sql.ts";
import type { OutgoingMessage } from "./broker.ts";
import { publishMessages } from "./postgres-statements.ts";

/**
 * Publishes for all callers with one statement at a time: what is asked for meanwhile goes together with the next one. So one commit holds
 * the messages of many, and messages get their sequences in the order of the calls, which several connections would not keep. Rejects with
 * the database's error.
 */
export function createPublisher(sql: Sql): (messages: readonly OutgoingMessage[]) => Promise<void> {
  let waiting: Publication[] = [];
  let publishing = false;

  const run = async (): Promise<void> => {
    publishing = true;
    while (waiting.length > 0) {
      const count = countThatFits(waiting);
      const together = waiting.slice(0, count);
      waiting = waiting.slice(count);
      await publishTogether(sql, together);
    }
    publishing = false;
  };

  return (messages) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting.push({ messages, resolve, reject });
    if (!publishing) {
      void run();
    }
    return promise;
  };
}

/** `broker_publish`'s arrays. */
export function publishParameters(messages: readonly OutgoingMessage[]): [string[], string[], string[]] {
  return [
    messages.map(({ subject }) => subject),
    messages.map(({ headers }) => JSON.stringify(headers)),
    // Base64 because an array of bytea does not pass the embedded Postgres.
    messages.map(({ body }) => Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64")),
  ];
}

/** What one caller publishes. */
interface Publication {
  messages: readonly OutgoingMessage[];
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** A statement stays small enough for its memory, in this process and in the database. */
const maxChunkMessages = 1_000;
const maxChunkBytes = 4 * 1024 * 1024;

/** How many publications fit into one statement; at least one, which may need several. */
function countThatFits(publications: readonly Publication[]): number {
  let messages = 0;
  let bytes = 0;
  const tooMany = publications.findIndex((publication) => {
    messages += publication.messages.length;
    bytes += publication.messages.reduce((sum, { body }) => sum + body.byteLength, 0);
    return messages > maxChunkMessages || bytes > maxChunkBytes;
  });
  return tooMany === -1 ? publications.length : Math.max(1, tooMany);
}

/** Never rejects. What the database refuses for its content fails its own caller only. */
async function publishTogether(sql: Sql, publications: readonly Publication[]): Promise<void> {
  try {
    for (const chunk of chunks(publications.flatMap(({ messages }) => messages))) {
      await sql.query(publishMessages, publishParameters(chunk));
    }
    for (const { resolve } of publications) {
      resolve();
    }
  } catch (error) {
    if (publications.length > 1 && isAboutContent(error)) {
      for (const publication of publications) {
        await publishTogether(sql, [publication]);
      }
      return;
    }
    for (const { reject } of publications) {
      reject(error);
    }
  }
}

function* chunks(messages: readonly OutgoingMessage[]): Generator<OutgoingMessage[]> {
  let chunk: OutgoingMessage[] = [];
  let bytes = 0;
  for (const message of messages) {
    if (chunk.length === maxChunkMessages || (chunk.length > 0 && bytes + message.body.byteLength > maxChunkBytes)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(message);
    bytes += message.body.byteLength;
  }
  if (chunk.length > 0) {
    yield chunk;
  }
}

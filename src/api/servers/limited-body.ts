import { Code, ConnectError } from "@connectrpc/connect";
import { refusalError } from "./refusal.ts";

/**
 * The body of a call, held to its limits: no message in it has more than `maxMessageBytes`, as they are on the wire, and it arrives whole within
 * `timeoutMs`. What is beyond a limit is thrown as an error of Connect, with its reason; a body that ends early as CANCELED.
 */
export function limitBody(body: AsyncIterable<Uint8Array>, options: BodyLimits): LimitedBody {
  return {
    [Symbol.asyncIterator]: () => limitedIterator(body[Symbol.asyncIterator](), options),
    leave: () => options.onLeft(body[Symbol.asyncIterator]()),
  };
}

export interface LimitedBody extends AsyncIterable<Uint8Array> {
  /** Gives up a body of which nothing was read, in place of reading it. */
  leave(): void;
}

export interface BodyLimits {
  /** Decides how messages lie in the body: one alone is the whole body, several are enveloped, each with its length before it. */
  contentType: string;
  maxMessageBytes: number;
  /** Milliseconds; undefined: the body may take as long as it likes. */
  timeoutMs: number | undefined;
  /** Told when the time is over, before the error is thrown: the rest of the body will not be read. */
  onTimeout: () => void;
  /** Told when nobody wants what is left of the body: it takes over from here. */
  onLeft: (rest: AsyncIterator<Uint8Array>) => void;
}

/** The error of a message that is too large; `after` says after what. */
export function messageTooLarge(maxBytes: number, after = ""): Error {
  return refusalError({ reason: "BODY_TOO_LARGE", message: `the message is larger than ${maxBytes} bytes${after}` });
}

/** Whatever Node says of a body that ends early: it is no failure of ours. */
function clientGone(cause: unknown): ConnectError {
  return new ConnectError("the client went away while it sent", Code.Canceled, undefined, undefined, cause);
}

function limitedIterator(source: AsyncIterator<Uint8Array>, options: BodyLimits): AsyncIterator<Uint8Array> {
  const { contentType, maxMessageBytes, timeoutMs } = options;
  const measure = isEnveloped(contentType) ? envelopeMeter(maxMessageBytes) : wholeMeter(maxMessageBytes);
  const deadline = Promise.withResolvers<never>();
  // Whoever reads sees it; nobody has to.
  deadline.promise.catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;

  function pass(): void {
    options.onTimeout();
    const message = `the body did not arrive whole within ${timeoutMs} ms`;
    deadline.reject(refusalError({ reason: "REQUEST_TIMEOUT", message }));
  }

  function stop(error: unknown): never {
    clearTimeout(timer);
    throw error instanceof ConnectError ? error : clientGone(error);
  }

  function measureOrLeave(chunk: Uint8Array): void {
    try {
      measure(chunk);
    } catch (error) {
      leave();
      stop(error);
    }
  }

  /** In place of the source's `return`, which lets go of a request, and not of its connection. */
  function leave(): void {
    if (!isOver) options.onLeft(source);
    end();
  }

  function end(): void {
    isOver = true;
    clearTimeout(timer);
  }

  return {
    async next() {
      if (timeoutMs !== undefined) timer ??= setTimeout(pass, timeoutMs);
      const read = await Promise.race([source.next(), deadline.promise]).catch(stop);
      if (read.done) end();
      else measureOrLeave(read.value);
      return read;
    },
    async return() {
      leave();
      return { done: true, value: undefined };
    },
  };
}

/** Whether the body of a content type holds messages in envelopes, as in gRPC, gRPC-Web and Connect's streams; Connect's unary calls have one bare. */
export function isEnveloped(contentType: string): boolean {
  return /^application\/(?:grpc|connect\+)/i.test(contentType);
}

type Meter = (chunk: Uint8Array) => void;

function wholeMeter(maxBytes: number): Meter {
  let bytes = 0;
  return (chunk) => {
    bytes += chunk.length;
    if (bytes > maxBytes) throw messageTooLarge(maxBytes);
  };
}

/**
 * An envelope is a byte of flags, the length in four bytes (big endian), and as many bytes of the message.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
 */
function envelopeMeter(maxBytes: number): Meter {
  const prefix = new DataView(new ArrayBuffer(prefixBytes));
  let prefixRead = 0;
  let messageLeft = 0;
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (messageLeft > 0) {
        const taken = Math.min(messageLeft, chunk.length - at);
        messageLeft -= taken;
        at += taken;
        continue;
      }
      prefix.setUint8(prefixRead++, chunk[at++] ?? 0);
      if (prefixRead < prefixBytes) continue;
      prefixRead = 0;
      messageLeft = prefix.getUint32(1);
      if (messageLeft > maxBytes) throw messageTooLarge(maxBytes);
    }
  };
}

const prefixBytes = 5;

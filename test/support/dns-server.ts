import { createSocket } from "node:dgram";
import type { AddressInfo } from "node:net";
import ipaddr from "ipaddr.js";

/** A record of an answer: an address (A or AAAA), or `{ alias }` (CNAME), whose own records follow it. */
export type DnsRecord = string | { alias: string };

/** What a name stands for: records, "none" (NODATA), "missing" (NXDOMAIN), "failure" (SERVFAIL), or "silence". */
export type DnsAnswer = readonly DnsRecord[] | "none" | "missing" | "failure" | "silence";

export interface DnsQuestion {
  /** In lower case, without a dot at its end. */
  name: string;
  type: "A" | "AAAA";
  /** How often this name was asked for this type before. */
  count: number;
}

export interface DnsServer {
  /** `127.0.0.1:port`, as `dns.Resolver` takes it. */
  address: string;
  questions: DnsQuestion[];
  close(): Promise<void>;
}

/**
 * A DNS server (RFC 1035) over UDP on a free port of the loopback interface, which answers what the test says. All records get a TTL of an
 * hour, so that whoever keeps answers is found out.
 */
export async function startDnsServer(
  answer: (question: DnsQuestion) => DnsAnswer | Promise<DnsAnswer>,
): Promise<DnsServer> {
  const questions: DnsQuestion[] = [];
  /** By the question and the id under which it was asked. */
  const answers = new Map<string, DnsAnswer | Promise<DnsAnswer>>();
  let isClosed = false;
  const socket = createSocket("udp4");
  socket.on("message", async (query, { address, port }) => {
    const { name, typeCode, end } = readQuestion(query);
    if (typeCode !== TYPES.A && typeCode !== TYPES.AAAA) return;
    const type = typeCode === TYPES.A ? "A" : "AAAA";
    // Who got no answer in time asks again under the same id: that is no other question.
    const key = `${query.readUInt16BE(0)} ${type} ${name}`;
    const given = answers.get(key) ?? answer(remember({ name, type }));
    answers.set(key, given);
    const found = await given;
    if (found !== "silence" && !isClosed)
      socket.send(writeAnswer(query.subarray(0, end), found, typeCode), port, address);
  });
  const remember = (asked: Omit<DnsQuestion, "count">): DnsQuestion => {
    const count = questions.filter(({ name, type }) => name === asked.name && type === asked.type).length;
    const question = { ...asked, count };
    questions.push(question);
    return question;
  };
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    questions,
    async close() {
      isClosed = true;
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    },
  };
}

const TYPES = { A: 1, CNAME: 5, AAAA: 28 } as const;
const RESPONSE_CODES = { none: 0, missing: 3, failure: 2 } as const;

/** Behind the twelve bytes of the header: labels, a zero, type and class. */
function readQuestion(query: Buffer): { name: string; typeCode: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), typeCode: query.readUInt16BE(at + 1), end: at + 5 };
}

function writeAnswer(headerAndQuestion: Buffer, answer: Exclude<DnsAnswer, "silence">, typeCode: number): Buffer {
  const head = Buffer.from(headerAndQuestion);
  const records = typeof answer === "string" ? [] : writeRecords(answer, typeCode);
  // A response, recursion desired and available, and the code.
  head.writeUInt16BE(0x8180 | (typeof answer === "string" ? RESPONSE_CODES[answer] : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...records]);
}

/** Addresses of the other family are left out, as a server would. */
function writeRecords(records: readonly DnsRecord[], typeCode: number): Buffer[] {
  // A pointer to the name of the question.
  let owner: Buffer = Buffer.from([0xc0, 12]);
  return records.flatMap((record) => {
    if (typeof record !== "string") {
      const alias = writeName(record.alias);
      const written = writeRecord(owner, TYPES.CNAME, alias);
      owner = alias;
      return [written];
    }
    const bytes = Buffer.from(ipaddr.parse(record).toByteArray());
    return (bytes.length === 4) === (typeCode === TYPES.A) ? [writeRecord(owner, typeCode, bytes)] : [];
  });
}

function writeRecord(owner: Buffer, typeCode: number, data: Buffer): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(typeCode, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(3600, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, head, data]);
}

function writeName(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, "latin1")]));
  return Buffer.concat([...labels, Buffer.of(0)]);
}

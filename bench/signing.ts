import { randomBytes } from "node:crypto";
import { signatureHeaders } from "../src/domain/signature.ts";
import { generatePrivateKey, generateSecret, parseSigningKey } from "../src/domain/signing-key.ts";
import { median } from "./median.ts";
import { eventDataBytes } from "./processes/event-data.ts";

/** What a signature costs, in microseconds of one core, by algorithm and by the bytes of the body. */
export interface SigningCosts {
  bytes: number;
  hmacMicroseconds: number;
  ed25519Microseconds: number;
}

/** Measures both algorithms in turns, so that both have the same machine, and takes the median of the turns. */
export function measureSigning({ quick }: { quick: boolean }): SigningCosts[] {
  const costs = [eventDataBytes, 16 * 1024, 256 * 1024].map((bytes) => measure(bytes, quick ? 5 : 15));
  for (const { bytes, hmacMicroseconds, ed25519Microseconds } of costs) {
    const [hmac, ed25519] = [hmacMicroseconds, ed25519Microseconds].map((cost) => `${cost.toFixed(1)} µs`);
    console.log(`${String(bytes).padStart(7)} bytes: HMAC-SHA256 ${hmac}, ed25519 ${ed25519}`);
  }
  return costs;
}

/** Signatures in a turn: enough that the clock does not count. */
const inOneTurn = 500;

function measure(bytes: number, turns: number): SigningCosts {
  const body = randomBytes(bytes);
  const [hmac, ed25519] = [generateSecret(randomBytes), generatePrivateKey(randomBytes)].map((text) =>
    signer(text, body),
  );
  const costs = Array.from({ length: turns }, () => [costOf(hmac), costOf(ed25519)] as const);
  return {
    bytes,
    hmacMicroseconds: median(costs.map(([cost]) => cost)),
    ed25519Microseconds: median(costs.map(([, cost]) => cost)),
  };
}

function signer(text: string, body: Uint8Array): () => void {
  const parsed = parseSigningKey(text);
  if (parsed.kind === "refused") throw new Error(parsed.reason);
  const keys = [parsed.key];
  return () =>
    void signatureHeaders({ id: "evt_01k8djrfaefx88mtvwhpf0y6hb", timestampSeconds: 1763762400, body, keys });
}

/** In CPU time, so that other programs on the machine do not count. */
function costOf(sign: (() => void) | undefined): number {
  const before = process.cpuUsage();
  for (let count = 0; count < inOneTurn; count += 1) sign?.();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / inOneTurn;
}

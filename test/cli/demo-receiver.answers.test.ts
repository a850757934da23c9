import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { afterEach, expect, it } from "vitest";
import { type DemoReceiver, startDemoReceiver } from "../../src/commands/dev/demo-receiver.ts";
import { createLog } from "../../src/telemetry/log.ts";

const secret = `whsec_${Buffer.alloc(32, 5).toString("base64")}`;
const body = '{"type":"order.paid","timestamp":"2026-01-01T00:00:00Z","data":{}}';
const lines: string[] = [];
const log = createLog({ level: "info", format: "pretty", output: { write: (line) => void lines.push(line) } });
const receivers: DemoReceiver[] = [];

afterEach(async () => {
  lines.length = 0;
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});

/** A connection that is kept may be closed by the receiver at the moment of the next request. */
const alone = { connection: "close" };

async function startReceiver(port = 0): Promise<DemoReceiver> {
  const receiver = await startDemoReceiver({ port, log });
  receivers.push(receiver);
  return receiver;
}

function signed(id: string, text = body): RequestInit {
  const now = new Date();
  const headers = {
    ...alone,
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign(id, now, body),
  };
  return { method: "POST", headers, body: text };
}

it("the verification challenge is echoed and nothing else", async () => {
  const { url } = await startReceiver();
  const response = await fetch(`${url}/any?a=1&verification_challenge=x%2By`, { headers: alone });
  expect([response.status, await response.text()]).toEqual([200, "x+y"]);
  expect((await fetch(url, { headers: alone })).status).toBe(405);
});

it("an event with a valid signature is taken, logged on one line, and reported to who waits for it", async () => {
  const receiver = await startReceiver();
  receiver.trust(secret);
  const received = receiver.received("evt_1");
  expect((await fetch(`${receiver.url}/orders`, signed("evt_1"))).status).toBe(200);
  await received;
  await receiver.received("evt_1");
  expect(lines).toEqual([
    expect.stringMatching(/ demo receiver: got order\.paid at \/orders \(evt_1, signature verified\)\n$/),
  ]);
});

it("an event that was changed by one byte is refused, and the refusal is logged", async () => {
  const receiver = await startReceiver();
  receiver.trust(secret);
  expect((await fetch(receiver.url, signed("evt_2", body.replace("paid", "pAid")))).status).toBe(401);
  expect(lines).toEqual([expect.stringMatching(/ warn {2}demo receiver: refused a request, its signature is wrong/)]);
});

it("nothing is believed before the secret is known", async () => {
  const { url } = await startReceiver();
  expect((await fetch(url, signed("evt_3"))).status).toBe(401);
});

it("where another program has the port, the receiver takes a free one and says so", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as AddressInfo;
  try {
    const { url } = await startReceiver(port);
    expect(url).not.toBe(`http://127.0.0.1:${port}`);
    expect(lines).toEqual([
      expect.stringContaining(`port ${port} is in use by another program: the demo receiver is at ${url}`),
    ]);
    expect((await fetch(`${url}/?verification_challenge=here`)).status).toBe(200);
  } finally {
    other.close();
  }
});

import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startHostileReceivers } from "../support/hostile-receivers.ts";
import { memoryInUse } from "../support/memory-in-use.ts";
import { waitFor } from "../support/wait-for.ts";
import { post, startClient, startTcpReceiver } from "./receiver.ts";

test("whatever receivers do, each request costs its own bounded memory, and nothing of it stays", async () => {
  const hostile = await startHostileReceivers();
  onTestFinished(() => hostile.close());
  const client = startClient();
  const wave = async () => {
    const requests = hostile.receivers.flatMap(({ url }) =>
      Array.from({ length: 20 }, () => client.send(post(url, { timeoutMs: 400 }))),
    );
    const answers = await Promise.all(requests);
    for (const answer of answers) {
      if (answer.kind === "response") expect(answer.body.length).toBeLessThanOrEqual(16_384);
    }
  };
  // The first waves fill what is kept on purpose, such as compiled code.
  for (let i = 0; i < 3; i += 1) await wave();
  const before = await memoryInUse();
  for (let i = 0; i < 5; i += 1) await wave();
  expect((await memoryInUse()) - before).toBeLessThan(16);
});

test("no receiver gets more than a few milliseconds of the processor a request, in which all others wait", async () => {
  const hostile = await startHostileReceivers();
  onTestFinished(() => hostile.close());
  const client = startClient();
  for (const { misbehaviour, url } of hostile.receivers) {
    const start = process.threadCpuUsage();
    for (let i = 0; i < 10; i += 1) await client.send(post(url, { timeoutMs: 50 }));
    const { user, system } = process.threadCpuUsage(start);
    expect((user + system) / 10 / 1000, misbehaviour).toBeLessThan(40);
  }
});

test("of thousands of receivers' connections only so many are kept, and the rest is closed", async () => {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => {}).on("close", () => open.delete(socket));
    socket.on("data", () => socket.write("HTTP/1.1 204 No Content\r\n\r\n"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 4_096, resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const resolve = (_name: string, callback: (error: null, addresses: { address: string; family: number }[]) => void) =>
    callback(null, [{ address: "127.0.0.1", family: 4 }]);
  const client = startClient({ guard: { resolve }, maxIdle: 100, maxIdlePerOrigin: 10, idleTimeoutMs: 300_000 });
  // Each receiver has a name of its own, and so an origin.
  for (let wave = 0; wave < 6; wave += 1) {
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, i) => client.send(post(`http://r${wave}-${i}.example:${port}/`))),
    );
    expect(answers.every((answer) => answer.kind === "response" && answer.status === 204)).toBe(true);
  }
  await waitFor(() => open.size <= 100, { what: "the end of the other connections" });
  expect(open.size).toBe(100);
});

test("a thousand TLS handshakes that never end leave no connection behind", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.resume());
  const client = startClient();
  const before = await memoryInUse();
  const url = `https://127.0.0.1:${receiver.port}/`;
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => client.send(post(url, { timeoutMs: 3_000 }))));
  expect(answers.every((answer) => answer.kind === "failure" && answer.error === "TIMEOUT")).toBe(true);
  await waitFor(() => receiver.sockets.every(({ destroyed }) => destroyed), { what: "the connections' end" });
  receiver.sockets.length = 0;
  expect((await memoryInUse()) - before).toBeLessThan(32);
});

import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { watchConnectionAttempts } from "../support/connection-attempts.ts";
import { post, startClient, startHttpReceiver, startTcpReceiver } from "./receiver.ts";

type Answer = { address: string; family: number }[];

function resolveTo(...answers: (Answer | Error)[]) {
  const names: string[] = [];
  const resolve = (name: string, callback: (error: Error | null, addresses: Answer) => void) => {
    const answer = answers[Math.min(names.length, answers.length - 1)]!;
    names.push(name);
    queueMicrotask(() => (answer instanceof Error ? callback(answer, []) : callback(null, answer)));
  };
  return { names, resolve };
}

const loopback = { address: "127.0.0.1", family: 4 };

test("a name goes to the address that was checked", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.end("ok"));
  const { names, resolve } = resolveTo([loopback]);
  const client = startClient({ guard: { resolve } });
  const answer = await client.send(post(`http://receiver.example:${receiver.port}/hook`));
  expect(answer).toMatchObject({ kind: "response", status: 200 });
  expect(receiver.requests[0]!.headers.host).toBe(`receiver.example:${receiver.port}`);
  expect(names).toEqual(["receiver.example"]);
});

test.each([
  ["first", [{ address: "10.0.0.1", family: 4 }, loopback]],
  ["last", [loopback, { address: "10.0.0.1", family: 4 }]],
  ["of the other family", [loopback, { address: "fe80::1", family: 6 }]],
  ["no address", [loopback, { address: "localhost", family: 4 }]],
  ["the only one", [{ address: "169.254.169.254", family: 4 }]],
])("of several answers, one bad one (%s) refuses the request, and nothing connects", async (_which, answers) => {
  const receiver = await startTcpReceiver((socket) => socket.end());
  const client = startClient({ guard: { resolve: resolveTo(answers).resolve } });
  const answer = await client.send(post(`http://receiver.example:${receiver.port}/`));
  expect(answer).toMatchObject({ kind: "failure", error: "ADDRESS_REFUSED" });
  // The message does not tell which address the name stands for.
  if (answer.kind === "failure") expect(answer.message).not.toMatch(/\d/);
  expect(await connectionsBefore(receiver.port, receiver.sockets)).toBe(0);
});

test("a name whose answers change is checked at each connection", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.setHeader("connection", "close").end());
  const { names, resolve } = resolveTo([loopback], [{ address: "10.0.0.1", family: 4 }]);
  const client = startClient({ guard: { resolve } });
  const url = `http://rebinding.example:${receiver.port}/`;
  expect(await client.send(post(url))).toMatchObject({ kind: "response", status: 200 });
  expect(await client.send(post(url))).toMatchObject({ kind: "failure", error: "ADDRESS_REFUSED" });
  expect(names).toHaveLength(2);
  expect(receiver.requests).toHaveLength(1);
});

test.each([
  ["an address", "127.0.0.1"],
  ["an address in decimal", "2130706433"],
  ["an address in hex", "0x7f.1"],
  ["an address in octal", "0177.0.0.1"],
  ["an address in enclosed digits", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460"],
  ["a mapped address", "[::ffff:127.0.0.1]"],
  ["a compatible address", "[::7f00:1]"],
])("a URL with %s goes through the guard without any lookup, and nothing connects", async (_what, host) => {
  const receiver = await startTcpReceiver((socket) => socket.end());
  const { names, resolve } = resolveTo([loopback]);
  const client = startClient({ guard: { allow: [], resolve } });
  const answer = await client.send(post(`http://${host}:${receiver.port}/`));
  expect(answer).toMatchObject({ kind: "failure", error: "ADDRESS_REFUSED" });
  expect(names).toEqual([]);
  expect(await connectionsBefore(receiver.port, receiver.sockets)).toBe(0);
});

test("the system's resolver is guarded too: localhost is refused where loopback is not allowed", async () => {
  const receiver = await startTcpReceiver((socket) => socket.end());
  const answer = await startClient({ guard: { allow: [] } }).send(post(`http://localhost:${receiver.port}/`));
  expect(answer).toMatchObject({ kind: "failure", error: "ADDRESS_REFUSED" });
  expect(await connectionsBefore(receiver.port, receiver.sockets)).toBe(0);
});

test("of a name with many addresses at most four of each family are tried", async () => {
  const receiver = await startTcpReceiver((socket) => socket.end());
  const answers = Array.from({ length: 100 }, (_, i) => [
    { address: `127.0.1.${i}`, family: 4 },
    { address: `::ffff:127.0.2.${i}`, family: 6 },
  ]).flat();
  const client = startClient({ guard: { resolve: resolveTo(answers).resolve } });
  const attempts = watchConnectionAttempts();
  onTestFinished(() => attempts.stop());
  // The receiver listens on another address of this machine.
  const answer = await client.send(post(`http://many.example:${receiver.port}/`));
  expect(answer).toMatchObject({ kind: "failure", error: "CONNECTION" });
  expect(attempts.made.sort()).toEqual(
    answers
      .slice(0, 8)
      .map(({ address }) => `${address}:${receiver.port}`)
      .sort(),
  );
});

test("a policy that became stricter holds for URLs that were accepted before", async () => {
  const receiver = await startTcpReceiver((socket) => socket.end());
  const refused = { kind: "failure", error: "ADDRESS_REFUSED" };
  expect(await startClient({ allowHttp: false }).send(post(receiver.url))).toMatchObject(refused);
  expect(await startClient().send(post("http://127.0.0.1:25/"))).toMatchObject(refused);
  expect(await startClient().send(post("/no/url"))).toMatchObject(refused);
  expect(await connectionsBefore(receiver.port, receiver.sockets)).toBe(0);
});

test("a name without addresses, and a resolver that fails, are DNS failures in words without internals", async () => {
  const missing = Object.assign(new Error("queryA ENOTFOUND"), { code: "ENOTFOUND" });
  const broken = Object.assign(new Error("server 10.0.0.2 timed out"), { code: "EAI_AGAIN" });
  for (const [answer, message] of [
    [missing, "the host name has no address"],
    [[], "the host name has no address"],
    [broken, "the host name could not be resolved"],
  ] as const) {
    const client = startClient({ guard: { resolve: resolveTo(answer as Answer | Error).resolve } });
    expect(await client.send(post("http://nowhere.example/"))).toMatchObject({
      kind: "failure",
      error: "DNS",
      message,
    });
  }
});

test("the deadline covers a lookup that never answers", async () => {
  const client = startClient({ guard: { resolve: () => {} } });
  const answer = await client.send(post("http://tarpit.example/", { timeoutMs: 100 }));
  expect(answer).toMatchObject({ kind: "failure", error: "TIMEOUT" });
});

/** How many connections a server got before one of the test's own, which comes after all that were on their way. */
async function connectionsBefore(port: number, sockets: readonly unknown[]): Promise<number> {
  const own = connect(port, "127.0.0.1");
  await new Promise((resolve) =>
    own
      .once("close", resolve)
      .on("error", () => {})
      .resume(),
  );
  return sockets.length - 1;
}

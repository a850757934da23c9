import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createAddressGuard } from "../../src/outbound/address-guard.ts";
import type { Exchange } from "../../src/outbound/exchange.ts";
import { createHttpClient } from "../../src/outbound/http-client.ts";
import { createNameResolver } from "../../src/outbound/name-resolver.ts";
import { checkTargetUrl, type TargetPolicy } from "../../src/outbound/target-url.ts";
import { type ConnectionAttempts, watchConnectionAttempts } from "../support/connection-attempts.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { allowedUrls } from "./known-tricks/allowed-urls.ts";
import { dnsCases } from "./known-tricks/dns-answers.ts";
import { refusedIPv4Hosts } from "./known-tricks/refused-ipv4-hosts.ts";
import { refusedIPv6Hosts } from "./known-tricks/refused-ipv6-hosts.ts";
import { namesThatLeadHere, refusedNames } from "./known-tricks/refused-names.ts";
import { refusedUrls } from "./known-tricks/refused-urls.ts";
import { post } from "./receiver.ts";

/** Listens on every address of this machine, so that whatever the guard lets out arrives. */
const arrived: Socket[] = [];
const server = createServer((socket) => {
  arrived.push(socket);
  socket.on("error", () => {});
  socket.once("data", () => socket.end("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"));
});

/** In the worst of worlds every name leads to this machine. */
let dns: DnsServer;
let attempts: ConnectionAttempts;
let port: number;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "::", resolve));
  port = (server.address() as AddressInfo).port;
  dns = await startDnsServer(({ name, type, count }) => {
    const given = dnsCases[Number(/^case-(\d+)\.example$/.exec(name)?.[1])]?.answers;
    if (given) return given[Math.min(count, given.length - 1)]!;
    if (name === "receiver.example") return type === "A" ? ["127.0.0.1"] : "none";
    return type === "A" ? ["127.0.0.1"] : ["::1"];
  });
  attempts = watchConnectionAttempts();
});

afterEach(() => {
  for (const list of [attempts.made, arrived, dns.questions]) list.length = 0;
});

afterAll(async () => {
  attempts.stop();
  await dns.close();
  await new Promise((resolve) => server.close(resolve));
});

/** The strictest policy, but for plain http, so that the host alone decides. The names are asked of the test's own server. */
function policyThatAllows(...allow: string[]): TargetPolicy {
  const resolve = createNameResolver({ servers: [dns.address], patienceMs: 20_000 });
  return { guard: createAddressGuard({ allow, deny: [], resolve }), allowHttp: true, allowPorts: [] };
}

async function send(url: string, policy: TargetPolicy): Promise<Exchange> {
  const client = createHttpClient({ policy, userAgent: "Tellwire/test" });
  try {
    return await client.send(post(url));
  } finally {
    await client.close();
  }
}

async function expectNothingLeaves(url: string): Promise<Exchange> {
  const answer = await send(url, policyThatAllows());
  expect(answer.kind).toBe("failure");
  expect(attempts.made).toEqual([]);
  expect(arrived).toEqual([]);
  return answer;
}

const hosts = [...Object.entries(refusedIPv4Hosts), ...Object.entries(refusedIPv6Hosts)];

test("there are more than three hundred tricks, and each stands in the tables once", () => {
  const urls = [...Object.values(refusedUrls).flat(), ...allowedUrls];
  const names = [...hosts.flatMap(([, list]) => list), ...refusedNames, ...namesThatLeadHere];
  expect(new Set(urls).size).toBe(urls.length);
  expect(new Set(names).size).toBe(names.length);
  expect(urls.length + names.length + dnsCases.length).toBeGreaterThan(400);
});

test("what is watched is seen: a request that is allowed makes one attempt, and arrives", async () => {
  const answer = await send(`http://receiver.example:${port}/`, policyThatAllows("127.0.0.0/8", "::1"));
  expect(answer).toMatchObject({ kind: "response", status: 204 });
  expect(attempts.made).toEqual([`127.0.0.1:${port}`]);
  expect(arrived).toHaveLength(1);
  expect(dns.questions.map(({ type }) => type).sort()).toEqual(["A", "AAAA"]);
});

test.each(hosts.flatMap(([trick, list]) => list.map((host) => [trick, host])))(
  "%s: %s is refused when a webhook is made, and when a request would leave, and nobody is asked or called",
  async (_trick, host) => {
    const url = `http://${host}:${port}/`;
    expect(checkTargetUrl(url, policyThatAllows())).not.toEqual([]);
    expect(await expectNothingLeaves(url)).toMatchObject({ error: "ADDRESS_REFUSED" });
    expect(dns.questions).toEqual([]);
  },
);

test.each(refusedNames)("the name %s is refused, and nobody is asked or called", async (host) => {
  const url = `http://${host}:${port}/`;
  expect(checkTargetUrl(url, policyThatAllows())).not.toEqual([]);
  expect(await expectNothingLeaves(url)).toMatchObject({ error: "ADDRESS_REFUSED" });
  expect(dns.questions).toEqual([]);
});

test.each(namesThatLeadHere)(
  "the name %s, which leads to this machine, is refused when it is looked up",
  async (host) => {
    const answer = await expectNothingLeaves(`http://${host}:${port}/`);
    expect(answer).toMatchObject({ kind: "failure", error: "ADDRESS_REFUSED" });
    expect(dns.questions.length).toBeGreaterThan(0);
  },
);

test.each(Object.entries(refusedUrls).flatMap(([trick, urls]) => urls.map((url) => [trick, url])))(
  "%s: %j is refused when a webhook is made, and leads nowhere if it were not",
  async (_trick, template) => {
    const url = template.replace("{port}", String(port));
    expect(checkTargetUrl(url, policyThatAllows())).not.toEqual([]);
    await expectNothingLeaves(url);
  },
);

test.each(allowedUrls)("%s is allowed", (url) => {
  const policy = { guard: createAddressGuard({ allow: [], deny: [] }), allowHttp: false, allowPorts: [] };
  expect(checkTargetUrl(url, policy)).toEqual([]);
});

test.each(dnsCases.map((each, index) => ({ ...each, index })))(
  "a name server that answers with $trick: $outcomes",
  async ({ index, outcomes }) => {
    const policy = policyThatAllows("127.0.0.1");
    for (const outcome of outcomes) {
      for (const list of [attempts.made, arrived]) list.length = 0;
      const answer = await send(`http://case-${index}.example:${port}/`, policy);
      expect(answer.kind === "failure" ? answer.error : "arrives").toBe(outcome);
      // Where a connection takes long, the next good address is tried beside it.
      const tried = new Set(
        attempts.made.map((address) => address.replace("::ffff:", "").replace("7f00:1:", "127.0.0.1:")),
      );
      expect([...tried]).toEqual(outcome === "arrives" ? [`127.0.0.1:${port}`] : []);
      expect(arrived.length > 0).toBe(outcome === "arrives");
    }
  },
);

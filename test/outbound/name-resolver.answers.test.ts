import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createLocalNames } from "../../src/outbound/local-names.ts";
import { createNameResolver, type NameResolverOptions } from "../../src/outbound/name-resolver.ts";
import { type DnsAnswer, type DnsQuestion, startDnsServer } from "../support/dns-server.ts";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

async function startResolver(
  answer: (question: DnsQuestion) => DnsAnswer | Promise<DnsAnswer>,
  options: NameResolverOptions = {},
) {
  const dns = await startDnsServer(answer);
  onTestFinished(() => dns.close());
  const resolve = createNameResolver({ servers: [dns.address], patienceMs: 30_000, ...options });
  const addressesOf = (name: string) =>
    new Promise<string[]>((done, fail) =>
      resolve(name, (error, found) => (error ? fail(error) : done(found.map(({ address }) => address)))),
    );
  return { dns, addressesOf, asked: () => dns.questions.filter(({ type }) => type === "A").map(({ name }) => name) };
}

function localNames({ hosts = "", resolver = "" }: { hosts?: string; resolver?: string }) {
  const folder = makeTemporaryFolder("local-names");
  onTestFinished(() => folder.remove());
  const hostsPath = join(folder.path, "hosts");
  const resolverPath = join(folder.path, "resolv.conf");
  writeFileSync(hostsPath, hosts);
  writeFileSync(resolverPath, resolver);
  return { hostsPath, localNames: createLocalNames({ hostsPath, resolverPath }) };
}

test("both families are asked for, and IPv4 comes first", async () => {
  const { addressesOf } = await startResolver(() => ["2606:4700::1", "8.8.8.8", "2606:4700::2", "8.8.4.4"]);
  expect(await addressesOf("a.example")).toEqual(["8.8.8.8", "8.8.4.4", "2606:4700::1", "2606:4700::2"]);
});

test("nothing is kept: each call asks anew, whatever the records' time to live", async () => {
  const { addressesOf } = await startResolver(({ count }) => [`8.8.8.${count}`]);
  for (const count of [0, 1, 2]) expect(await addressesOf("a.example")).toEqual([`8.8.8.${count}`]);
});

test("a family whose servers fail is left out where the other one has addresses", async () => {
  const { addressesOf } = await startResolver(({ type }) => (type === "A" ? ["8.8.8.8"] : "failure"));
  expect(await addressesOf("a.example")).toEqual(["8.8.8.8"]);
});

test("a name without addresses has none, and a server that fails is an error", async () => {
  const { addressesOf } = await startResolver(({ name }) => {
    if (name.startsWith("none")) return "none";
    return name.startsWith("missing") ? "missing" : "failure";
  });
  expect(await addressesOf("none.example")).toEqual([]);
  expect(await addressesOf("missing.example")).toEqual([]);
  await expect(addressesOf("broken.example")).rejects.toMatchObject({ code: "ESERVFAIL" });
});

test("names whose servers are silent hold up no other name, however many they are", async () => {
  const { addressesOf, dns } = await startResolver(({ name }) => (name.startsWith("silent") ? "silence" : ["8.8.8.8"]));
  let silenced = 0;
  for (let i = 0; i < 100; i += 1) {
    addressesOf(`silent-${i}.example`).catch(() => {
      silenced += 1;
    });
  }
  await waitFor(() => dns.questions.length >= 200, { what: "the questions about silent names" });
  // Many more than there are threads, while not one of the others has come to its end.
  for (let i = 0; i < 10; i += 1) expect(await addressesOf(`well-${i}.example`)).toEqual(["8.8.8.8"]);
  expect(silenced).toBe(0);
});

test("a name whose servers are silent is given up", async () => {
  const { addressesOf } = await startResolver(() => "silence", { patienceMs: 100 });
  await expect(addressesOf("silent.example")).rejects.toMatchObject({ code: "ETIMEOUT" });
});

test("a name whose servers take seconds is found, however quickly other names were", async () => {
  const { addressesOf } = await startResolver(async ({ name }) => {
    if (name.startsWith("slow")) await new Promise((resolve) => setTimeout(resolve, 3_000));
    return ["8.8.8.8"];
  });
  for (let i = 0; i < 10; i += 1) expect(await addressesOf(`quick-${i}.example`)).toEqual(["8.8.8.8"]);
  expect(await addressesOf("slow.example")).toEqual(["8.8.8.8"]);
});

test("localhost and the names below it are this machine, and nobody is asked", async () => {
  const { addressesOf, dns } = await startResolver(() => ["8.8.8.8"]);
  for (const name of ["localhost", "LOCALHOST.", "a.localhost"]) {
    expect(await addressesOf(name)).toEqual(["127.0.0.1", "::1"]);
  }
  expect(dns.questions).toEqual([]);
});

test("without local names, a name is asked for as it stands, and only so", async () => {
  const { addressesOf, asked } = await startResolver(() => "missing");
  expect(await addressesOf("receiver")).toEqual([]);
  expect(await addressesOf("a.example.")).toEqual([]);
  expect(asked()).toEqual(["receiver", "a.example"]);
});

test("the hosts file comes before DNS, and is read again when it changes", async () => {
  const { hostsPath, localNames: names } = localNames({
    hosts: "# local\n::2 Receiver alias # both\n10.0.0.1\treceiver\n",
  });
  const { addressesOf, dns } = await startResolver(() => ["8.8.8.8"], { localNames: names });
  expect(await addressesOf("RECEIVER.")).toEqual(["10.0.0.1", "::2"]);
  expect(await addressesOf("alias")).toEqual(["::2"]);
  expect(dns.questions).toEqual([]);
  writeFileSync(hostsPath, "10.0.0.2 receiver.new\n");
  expect(await addressesOf("receiver.new")).toEqual(["10.0.0.2"]);
  expect(await addressesOf("receiver")).toEqual(["8.8.8.8"]);
});

test("a short name is looked for in the search domains first, a long one as it stands first", async () => {
  const { localNames: names } = localNames({
    resolver: "nameserver 10.0.0.10\nsearch default.svc.test svc.test.\noptions ndots:5\n",
  });
  const { addressesOf, asked } = await startResolver(
    ({ name }) => (name === "receiver.shop.svc.test" || name === "receiver.svc.test" ? ["10.0.0.3"] : "missing"),
    { localNames: names },
  );
  expect(await addressesOf("receiver")).toEqual(["10.0.0.3"]);
  expect(await addressesOf("receiver.shop")).toEqual(["10.0.0.3"]);
  expect(await addressesOf("receiver.shop.")).toEqual([]);
  expect(asked()).toEqual([
    "receiver.default.svc.test",
    "receiver.svc.test",
    "receiver.shop",
    "receiver.shop.default.svc.test",
    "receiver.shop.svc.test",
    "receiver.shop",
  ]);
});

test("files that are not there say nothing", async () => {
  const names = createLocalNames({ hostsPath: "/nowhere/hosts", resolverPath: "/nowhere/resolv.conf" });
  expect(names.addressesOf("a")).toEqual([]);
  expect(names.searchDomains()).toEqual([]);
});

import type { DnsAnswer } from "../../support/dns-server.ts";

/** What a name server says, and what comes of a request. Of this machine's addresses only 127.0.0.1 is allowed. */
export interface DnsCase {
  trick: string;
  /** The answers to the first connection, the second, and so on; the last one stays. */
  answers: readonly DnsAnswer[];
  /** What each of the requests comes to, every one on a connection of its own. */
  outcomes: readonly ("arrives" | "ADDRESS_REFUSED" | "DNS")[];
}

const good = "127.0.0.1";
const none: DnsAnswer = "none";

export const dnsCases: readonly DnsCase[] = [
  { trick: "one good address", answers: [[good]], outcomes: ["arrives", "arrives"] },
  { trick: "the good address behind one alias", answers: [[{ alias: "b.example" }, good]], outcomes: ["arrives"] },
  { trick: "another loopback address", answers: [["127.0.0.2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "the stub resolver of this machine", answers: [["127.0.0.53"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "the unspecified address", answers: [["0.0.0.0"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "the loopback address of IPv6", answers: [["::1"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "the unspecified address of IPv6", answers: [["::"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a mapped address", answers: [["::ffff:127.0.0.2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a compatible address", answers: [["::127.0.0.2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a translated address", answers: [["::ffff:0:127.0.0.2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a NAT64 address", answers: [["64:ff9b::7f00:2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a NAT64 address of local use", answers: [["64:ff9b:1::7f00:2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a NAT64 address in a longer prefix", answers: [["64:ff9b:1:7f00:0:200::"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a 6to4 address", answers: [["2002:7f00:2::"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a Teredo address", answers: [["2001:0:7f00:2::"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a link-local address", answers: [["fe80::1"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a private address", answers: [["10.0.0.1"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a private address of IPv6", answers: [["fd00::1"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "the metadata service", answers: [["169.254.169.254"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "the metadata service in IPv6", answers: [["fd00:ec2::254"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "the platform of Azure", answers: [["168.63.129.16"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a shared address of a carrier", answers: [["100.100.100.200"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "broadcast", answers: [["255.255.255.255"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "multicast", answers: [["224.0.0.1"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "good, then bad", answers: [[good, "127.0.0.2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "bad, then good", answers: [["127.0.0.2", good]], outcomes: ["ADDRESS_REFUSED"] },
  {
    trick: "thirty good ones and a bad one",
    answers: [[...repeat(good, 30), "10.0.0.1"]],
    outcomes: ["ADDRESS_REFUSED"],
  },
  { trick: "a bad one between good ones", answers: [[good, "0.0.0.0", good]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "good in IPv4, bad in IPv6", answers: [[good, "::1"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "good in IPv4, mapped and bad in IPv6", answers: [[good, "::ffff:7f00:2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "good in IPv4, mapped and good in IPv6", answers: [[good, "::ffff:7f00:1"]], outcomes: ["arrives"] },
  { trick: "bad in IPv4, public in IPv6", answers: [["127.0.0.2", "2606:4700::1111"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a chain of aliases to a bad one", answers: [[...aliases(8), "127.0.0.2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "a chain of aliases to a good one", answers: [[...aliases(8), good]], outcomes: ["arrives"] },
  {
    trick: "a chain of aliases to good and bad",
    answers: [[...aliases(3), good, "::1"]],
    outcomes: ["ADDRESS_REFUSED"],
  },
  { trick: "an alias of localhost", answers: [[{ alias: "localhost" }, "127.0.0.2"]], outcomes: ["ADDRESS_REFUSED"] },
  { trick: "an alias in a ring", answers: [[{ alias: "a.example" }, { alias: "a.example" }]], outcomes: ["DNS"] },
  { trick: "an alias to nothing", answers: [[{ alias: "b.example" }]], outcomes: ["DNS"] },
  { trick: "good first, bad from then on", answers: [[good], ["127.0.0.2"]], outcomes: ["arrives", "ADDRESS_REFUSED"] },
  {
    trick: "good first, the metadata service then",
    answers: [[good], ["169.254.169.254"]],
    outcomes: ["arrives", "ADDRESS_REFUSED"],
  },
  { trick: "good first, IPv6 added then", answers: [[good], [good, "::1"]], outcomes: ["arrives", "ADDRESS_REFUSED"] },
  { trick: "bad first, good then", answers: [["127.0.0.2"], [good]], outcomes: ["ADDRESS_REFUSED", "arrives"] },
  {
    trick: "in turns",
    answers: [[good], ["::1"], [good], ["0.0.0.0"]],
    outcomes: ["arrives", "ADDRESS_REFUSED", "arrives", "ADDRESS_REFUSED"],
  },
  { trick: "good first, nothing then", answers: [[good], none], outcomes: ["arrives", "DNS"] },
  { trick: "no address", answers: [none], outcomes: ["DNS"] },
  { trick: "no such name", answers: ["missing"], outcomes: ["DNS"] },
  { trick: "a server that fails", answers: ["failure"], outcomes: ["DNS"] },
];

function repeat(address: string, count: number): string[] {
  return Array.from({ length: count }, () => address);
}

function aliases(count: number): { alias: string }[] {
  return Array.from({ length: count }, (_, i) => ({ alias: `alias-${i}.example` }));
}

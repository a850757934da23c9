import fc from "fast-check";
import { expect, test } from "vitest";
import { classifyAddress } from "../../src/outbound/address-class.ts";
import { createAddressGuard } from "../../src/outbound/address-guard.ts";

const guard = createAddressGuard({ allow: [], deny: [] });

/** Each refused range by its first and last address, with the public neighbours on both sides where there are any. */
test.each([
  ["0.0.0.0", "0.255.255.255", undefined, "1.0.0.0"],
  ["10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"],
  ["100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"],
  ["127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"],
  ["168.63.129.16", "168.63.129.16", "168.63.129.15", "168.63.129.17"],
  ["169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"],
  ["172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"],
  ["192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"],
  ["192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"],
  ["192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"],
  ["192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"],
  ["198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"],
  ["198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"],
  ["203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"],
  ["224.0.0.0", "255.255.255.255", "223.255.255.255", undefined],
  ["2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2000:ffff::1", "2001:200::"],
  ["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff::1", "2001:db9::"],
  ["2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:ffff::1", "2003::"],
  ["3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3ffe:ffff::1", "3fff:1000::"],
  ["4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:ffff::1", undefined],
  ["64:ff9c::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", undefined, "2000::"],
])("%s to %s is refused, and what lies beside it is not", (firstAddress, lastAddress, before, after) => {
  expect(guard.isAllowed(firstAddress)).toBe(false);
  expect(guard.isAllowed(lastAddress)).toBe(false);
  if (before) expect(guard.isAllowed(before)).toBe(true);
  if (after) expect(guard.isAllowed(after)).toBe(true);
});

const forms: [string, (hex: string, dotted: string) => string][] = [
  ["mapped", (hex) => `::ffff:${hex}`],
  ["mapped, dotted", (_hex, dotted) => `::ffff:${dotted}`],
  ["mapped, written out", (hex) => `0000:0000:0000:0000:0000:ffff:${hex}`],
  ["compatible", (hex) => `::${hex}`],
  ["compatible, dotted", (_hex, dotted) => `::${dotted}`],
  ["translated", (hex) => `::ffff:0:${hex}`],
  ["NAT64", (hex) => `64:ff9b::${hex}`],
  ["NAT64, dotted", (_hex, dotted) => `64:ff9b::${dotted}`],
  ["NAT64 of local use", (hex) => `64:ff9b:1::${hex}`],
];

test.each(forms)("the %s form is judged by its IPv4 address", (_name, write) => {
  for (const [hex, dotted] of [
    ["7f00:1", "127.0.0.1"],
    ["a00:1", "10.0.0.1"],
    ["a9fe:a9fe", "169.254.169.254"],
    ["c0a8:101", "192.168.1.1"],
    ["a83f:8110", "168.63.129.16"],
    ["e000:1", "224.0.0.1"],
  ] as const) {
    expect(classifyAddress(write(hex, dotted))).toBe(classifyAddress(dotted));
    expect(guard.isAllowed(write(hex, dotted))).toBe(false);
  }
  expect(guard.isAllowed(write("808:808", "8.8.8.8"))).toBe(true);
});

test("every IPv4 address and each IPv6 form that carries it get the same judgement", () => {
  fc.assert(
    fc.property(fc.ipV4(), (dotted) => {
      const [a, b, c, d] = dotted.split(".").map(Number) as [number, number, number, number];
      const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
      // ::0.0.0.0 and ::0.0.0.1 are the unspecified and the loopback address of IPv6.
      for (const [, write] of forms.filter(([name]) => a + b + c > 0 || !name.startsWith("compatible"))) {
        expect(classifyAddress(write(hex, dotted))).toBe(classifyAddress(dotted));
      }
    }),
  );
});

test.each([
  ["::", "reserved"],
  ["::1", "loopback"],
  ["fe80::1", "link-local"],
  ["fec0::1", "reserved"],
  ["fc00::1", "private"],
  ["fd00:ec2::254", "private"],
  ["ff02::1", "multicast"],
  ["100::1", "reserved"],
  ["64:ff9b:1:808:8:800::", "reserved"],
  ["64:ff9b:1:1::808:808", "reserved"],
  ["64:ff9b:0:1::808:808", "reserved"],
  ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"],
  ["2002:7f00:1::", "reserved"],
  ["2002:808:808::", "reserved"],
  ["2606:4700::1111", "public"],
  ["8.8.8.8", "public"],
  ["169.254.169.254", "link-local"],
  ["100.100.100.200", "private"],
])("%s is %s", (address, addressClass) => {
  expect(classifyAddress(address)).toBe(addressClass);
});

test.each([
  [""],
  ["localhost"],
  ["127.1"],
  ["2130706433"],
  ["0x7f000001"],
  ["0177.0.0.1"],
  ["8.8.8"],
  ["08.8.8.8"],
  ["8.8.8.8."],
  [" 8.8.8.8"],
  ["8.8.8.8\n"],
  ["8.8.8.8/32"],
  ["[2606:4700::1111]"],
  ["2606:4700::1111%eth0"],
  ["fe80::1%1"],
  ["\u2460.1.1.1"],
  ["::ffff:08.8.8.8"],
])("%j is not an address in canonical form, and never allowed", (text) => {
  expect(classifyAddress(text)).toBe("not an address");
  expect(createAddressGuard({ allow: ["0.0.0.0/0", "::/0"], deny: [] }).isAllowed(text)).toBe(false);
});

test("no text at all makes the classification fail", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.ipV6(), fc.ipV4Extended()), (text) => void classifyAddress(text)));
});

test("a range that is allowed opens itself and nothing else", () => {
  const open = createAddressGuard({ allow: ["127.0.0.0/8", "fd00:1::/32", "10.1.2.3"], deny: [] });
  for (const address of ["127.0.0.1", "127.255.0.1", "::ffff:127.0.0.1", "fd00:1::5", "10.1.2.3"]) {
    expect(open.isAllowed(address), address).toBe(true);
  }
  for (const address of ["10.1.2.4", "fd00:2::5", "::1", "169.254.169.254", "0.0.0.0"]) {
    expect(open.isAllowed(address), address).toBe(false);
  }
});

test("a range that is denied is closed, in every form, whatever is allowed", () => {
  const closed = createAddressGuard({ allow: ["127.0.0.0/8"], deny: ["127.0.0.53", "8.8.0.0/16", "2606:4700::/32"] });
  for (const address of ["127.0.0.53", "8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111"]) {
    expect(closed.isAllowed(address), address).toBe(false);
  }
  expect(closed.isAllowed("127.0.0.1")).toBe(true);
  expect(closed.isAllowed("8.9.0.1")).toBe(true);
});

test("allowing all of IPv6 does not open the IPv4 side by a form that carries it", () => {
  const open = createAddressGuard({ allow: ["::/0"], deny: [] });
  expect(open.isAllowed("fd00::1")).toBe(true);
  expect(open.isAllowed("::1")).toBe(true);
  for (const address of ["::ffff:127.0.0.1", "::7f00:1", "64:ff9b::a00:1", "64:ff9b:1:7f00:0:100::", "127.0.0.1"]) {
    expect(open.isAllowed(address), address).toBe(false);
  }
});

test("a range that is written in mapped form means the IPv4 addresses that it holds", () => {
  const mapped = createAddressGuard({
    allow: ["::ffff:10.0.0.0/104"],
    deny: ["::ffff:10.1.0.0/112", "::ffff:8.8.8.8"],
  });
  expect(["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1"].map(mapped.isAllowed)).toEqual([true, true, true]);
  expect(["10.1.0.1", "::ffff:a01:1", "8.8.8.8", "11.0.0.1"].map(mapped.isAllowed)).toEqual([
    false,
    false,
    false,
    true,
  ]);
  expect(createAddressGuard({ allow: [], deny: ["64:ff9b::/96"] }).isAllowed("8.8.8.8")).toBe(true);
  expect(createAddressGuard({ allow: [], deny: ["64:ff9b::/96"] }).isAllowed("64:ff9b::808:808")).toBe(false);
});

test("a prefix that ends inside a byte is compared to the bit", () => {
  const open = createAddressGuard({ allow: ["10.0.0.128/25", "10.1.0.0/31"], deny: [] });
  expect(["10.0.0.127", "10.0.0.128", "10.0.0.255", "10.1.0.1", "10.1.0.2"].map(open.isAllowed)).toEqual([
    false,
    true,
    true,
    true,
    false,
  ]);
});

test.each([
  ["10.0.0.0/33"],
  ["10.0.0.0/"],
  ["10.0.0.0/8/8"],
  ["10/8"],
  ["example.com"],
  [""],
  ["::/129"],
  ["::/-1"],
  ["fe80::%1/64"],
])("the range %j is a CONFIG_INVALID that names the variable", (text) => {
  for (const [options, name] of [
    [{ allow: [text], deny: [] }, "TELLWIRE_ALLOW_ADDRESSES"],
    [{ allow: [], deny: [text] }, "TELLWIRE_DENY_ADDRESSES"],
  ] as const) {
    expect(() => createAddressGuard(options)).toThrow(
      expect.objectContaining({ reason: "CONFIG_INVALID", message: expect.stringContaining(name) }),
    );
  }
});

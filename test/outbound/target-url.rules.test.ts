import { expect, test } from "vitest";
import { createAddressGuard } from "../../src/outbound/address-guard.ts";
import { checkTargetUrl, type TargetPolicy } from "../../src/outbound/target-url.ts";

const strict: TargetPolicy = { guard: createAddressGuard({ allow: [], deny: [] }), allowHttp: false, allowPorts: [] };
const open: TargetPolicy = {
  guard: createAddressGuard({ allow: ["127.0.0.0/8", "::1"], deny: [] }),
  allowHttp: true,
  allowPorts: [25],
};

test.each([
  ["https://example.com"],
  ["https://example.com/hook?a=b&c=%20"],
  ["HTTPS://Example.COM:443/"],
  ["https://example.com:8443/"],
  ["https://example.com:80/"],
  ["https://m\u00fcnchen.example/h\u00f6ren"],
  ["https://8.8.8.8/"],
  ["https://[2606:4700::1111]:8443/"],
  ["https://example.com/@me?to=a@b.example"],
])("%s is accepted", (url) => {
  expect(checkTargetUrl(url, strict)).toEqual([]);
});

test.each([
  ["", "absolute"],
  ["example.com/hook", "absolute"],
  ["/hook", "absolute"],
  ["//example.com/hook", "absolute"],
  ["https:example.com", "absolute"],
  ["https:/example.com", "absolute"],
  ["https:///example.com", "absolute"],
  ["https://", "absolute"],
  ["https://?", "absolute"],
  ["ftp://example.com/", "absolute"],
  ["file:///etc/passwd", "absolute"],
  ["gopher://example.com/", "absolute"],
  ["https://1.2.3.4.5/", "absolute"],
  ["https://256.1.1.1/", "absolute"],
  ["https://exa%00mple.com/", "absolute"],
  ["https://[fe80::1%25lo]/", "absolute"],
  ["https://example.com:99999/", "absolute"],
  ["http://example.com/", "https://"],
  ["https://user@example.com/", "user information"],
  ["https://user:password@example.com/", "user information"],
  ["https://@example.com/", "user information"],
  ["https://:@example.com/", "user information"],
  ["https://example.com@127.0.0.1/", "user information"],
  ["https://example.com/#top", "fragment"],
  ["https://example.com/#", "fragment"],
  [" https://example.com/", "spaces"],
  ["https://exam\tple.com/", "spaces"],
  ["https://example.com/\r\nx-a: b", "spaces"],
  ["https://example.com/\0", "spaces"],
  ["https://example.com\\@127.0.0.1/", "backslashes"],
  ["https://example.com/\u200b", "control"],
  ["https://example.com:25/", "port 25"],
  ["https://example.com:22/", "port 22"],
  ["https://example.com:1023/", "port 1023"],
  ["https://example.com:0/", "port 0"],
])("%j is refused: %s", (url, words) => {
  expect(checkTargetUrl(url, strict).join("; ")).toContain(words);
});

test.each([
  ["https://127.0.0.1/"],
  ["https://127.1/"],
  ["https://127.0.0.1./"],
  ["https://2130706433/"],
  ["https://0x7f000001/"],
  ["https://0x7f.0.0.1/"],
  ["https://0177.0.0.1/"],
  ["https://017700000001/"],
  ["https://0/"],
  ["https://%31%32%37.0.0.1/"],
  ["https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/"],
  ["https://127\u30020\u30020\u30021/"],
  ["https://\uff11\uff12\uff17.0.0.1/"],
  ["https://[::1]/"],
  ["https://[::]/"],
  ["https://[::ffff:127.0.0.1]/"],
  ["https://[::ffff:7f00:1]/"],
  ["https://[::7f00:1]/"],
  ["https://[64:ff9b::7f00:1]/"],
  ["https://[2002:7f00:1::]/"],
  ["https://[2001:0:7f00:1::]/"],
  ["https://[fd00:ec2::254]/"],
  ["https://169.254.169.254/latest/meta-data/"],
  ["https://168.63.129.16/"],
  ["https://localhost/"],
  ["https://LOCALHOST./"],
  ["https://a.localhost/"],
  ["https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/"],
])("%s leads to an address that is refused early", (url) => {
  expect(checkTargetUrl(url, strict)).toEqual([expect.stringMatching(/^must not lead to /)]);
});

test.each([["https://intranet/"], ["https://metadata.google.internal/"], ["https://db.corp./"]])(
  "%s means something only inside a network, and is accepted only where the operator allows addresses of one",
  (url) => {
    expect(checkTargetUrl(url, strict)).toEqual([
      expect.stringMatching(/^must not lead into a network: .* no public name$/),
    ]);
    expect(checkTargetUrl(url, open)).toEqual([]);
  },
);

test("the refusal of an address says what the address is", () => {
  expect(checkTargetUrl("https://0x7f.1/", strict)).toEqual([
    "must not lead to this address: 127.0.0.1 is a loopback address, which requests may not go to",
  ]);
});

test("an address that only the operator's list refuses is not called private", () => {
  const guard = createAddressGuard({ allow: [], deny: ["8.8.8.0/24"] });
  expect(checkTargetUrl("https://8.8.8.8/", { ...strict, guard })).toEqual([
    "must not lead to this address: the operator does not allow 8.8.8.8",
  ]);
});

test("what the operator allows is accepted", () => {
  for (const url of [
    "http://127.0.0.1:8090/hook",
    "http://localhost:8090/",
    "http://[::1]:8090/",
    "http://example.com:25/",
  ]) {
    expect(checkTargetUrl(url, open), url).toEqual([]);
  }
  expect(checkTargetUrl("http://example.com:26/", open)).toHaveLength(1);
  expect(checkTargetUrl("http://10.0.0.1/", open)).toHaveLength(1);
});

test("every fault of a URL is named at once", () => {
  expect(checkTargetUrl("http://a:b@10.0.0.1:22/#x", strict)).toHaveLength(4);
});

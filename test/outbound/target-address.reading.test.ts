import { expect, test } from "vitest";
import { createTargetAddresses } from "../../src/outbound/target-address.ts";

test("each URL is read as it is, with more of them than are remembered, and read again", () => {
  const addressOf = createTargetAddresses();
  const wrong: string[] = [];
  for (let turn = 0; turn < 2; turn += 1) {
    for (let number = 0; number < 200_000; number += 1) {
      const { origin, path } = addressOf(`https://Shop-${number}.Example.com:443/hooks/${number}?a=%20b#part`) ?? {};
      if (origin !== `https://shop-${number}.example.com` || path !== `/hooks/${number}?a=%20b`) {
        wrong.push(`${origin}${path}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test.each(["blob:https://example.com/1", "ftp://example.com/", "javascript:0", "/hooks", ""])(
  "%j is no address, however often it is read",
  (text) => {
    const addressOf = createTargetAddresses();
    const addresses = Array.from({ length: 100 }, () => addressOf(text));
    expect(addresses.filter((address) => address !== undefined)).toEqual([]);
  },
);

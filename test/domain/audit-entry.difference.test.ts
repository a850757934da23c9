import { expect, test } from "vitest";
import { auditedDifference } from "../../src/domain/audit-entry.ts";

test.each([
  ["names of parameters without their values", "?shop=canary&filter[id]=canary", "?shop=***&filter[id]=***"],
  ["nothing of a parameter without a name", "?canary&a=canary", "?***&a=***"],
  ["nothing of a token in base64, which ends as a name does", "?Y2FuYXJ5IQ==&Y2FuYXJ5=&a=canary==", "?***&***&a=***"],
  ["nothing of a name that is encoded", "?can%61ry=canary", "?***"],
])("of the parameters of a URL an entry keeps %s", (_what, query, shown) => {
  const { after } = auditedDifference(null, { url: `https://example.com/path${query}` });
  expect(after).toEqual({ url: `https://example.com/path${shown}` });
});

test("a URL of which only a value has changed is told as changed", () => {
  const difference = auditedDifference({ url: "https://a.example/?a=canary" }, { url: "https://a.example/?a=other" });
  const url = "https://a.example/?a=***";
  expect(difference).toEqual({ before: { url }, after: { url }, changedFields: ["url"] });
});

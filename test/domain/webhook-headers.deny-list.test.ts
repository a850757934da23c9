import fc from "fast-check";
import { expect, test } from "vitest";
import { checkWebhookHeaders } from "../../src/domain/webhook-headers.ts";

test.each([
  ["Authorization", "Bearer a.b-c_d"],
  ["X-Tenant", "42"],
  ["x_tenant", "42"],
  ["x-empty", ""],
  ["cookie", "a=b; c=d"],
  ["accept", "application/json"],
])("%s: %s is allowed", (name, value) => {
  expect(checkWebhookHeaders({ [name]: value })).toEqual([]);
});

test.each([
  ["Connection"],
  ["keep-alive"],
  ["Proxy-Authorization"],
  ["TE"],
  ["Trailer"],
  ["Transfer-Encoding"],
  ["Upgrade"],
  ["Expect"],
  ["Host"],
  ["Content-Length"],
  ["Content-Type"],
  ["content-encoding"],
  ["User-Agent"],
  ["Accept-Encoding"],
  ["Webhook-Id"],
  ["webhook-signature"],
  ["WebHook-Request-Origin"],
  ["ce-id"],
  ["X-Layers-Signature"],
  ["X-Verifik-Signature"],
  ["layer-webhook-signature"],
  ["Metadata"],
  ["Metadata-Flavor"],
  ["X-aws-ec2-metadata-token"],
  ["X-Google-Metadata-Request"],
  ["x-azure-ref"],
  ["X-Identity-Header"],
  ["X-Forwarded-For"],
  ["Forwarded"],
  ["Via"],
  ["CDN-Loop"],
  ["Max-Forwards"],
  ["Early-Data"],
  ["X-Client-IP"],
  ["True-Client-IP"],
  ["CF-Connecting-IP"],
  ["X-Original-URL"],
  ["X-Rewrite-URL"],
  ["X-HTTP-Method-Override"],
  ["X-Envoy-Original-Path"],
  ["Sec-Fetch-Site"],
  ["x-ms-version"],
  ["x-ms-agent-name"],
  ["x-aliyun-ecs-metadata-token"],
  ["tellwire-x"],
  ["__proto__"],
  ["X_Forwarded_For"],
  ["webhook_signature"],
  ["Content_Length"],
  ["Metadata_Flavor"],
  ["proxy_authorization"],
])("the name %s is reserved, whatever its case", (name) => {
  for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
    const [violation, ...rest] = checkWebhookHeaders(Object.fromEntries([[spelling, "v"]]), "webhook.headers");
    expect(rest).toEqual([]);
    expect(violation!.field).toBe(`webhook.headers["${spelling}"]`);
    expect(violation!.description).toContain("reserved");
  }
});

test.each([[""], ["a b"], ["a:b"], ["a\r\nb"], ["\u00e4"], ["a\0"], ["a(b)"], ["\u212aost"]])(
  "%j is no name",
  (name) => {
    expect(checkWebhookHeaders({ [name]: "v" })).toHaveLength(1);
  },
);

test.each([["a\r\nx-injected: 1"], ["a\nb"], ["a\0b"], ["\x7f"], ["\u00e4"], [" aqx"], ["aqx\t"]])(
  "the value %j is refused, and not repeated",
  (value) => {
    const [violation] = checkWebhookHeaders({ "x-a": value });
    expect(violation!.field).toBe('headers["x-a"]');
    expect(violation!.description).not.toContain(value);
  },
);

test("a value of more than 4096 characters is refused", () => {
  expect(checkWebhookHeaders({ "x-a": "a".repeat(4096) })).toEqual([]);
  expect(checkWebhookHeaders({ "x-a": "a".repeat(4097) })).toHaveLength(1);
});

test("headers of more than 12 KiB together are refused", () => {
  const headers = Object.fromEntries(["a", "b", "c"].map((name) => [`x-${name}`, "a".repeat(4093)]));
  expect(checkWebhookHeaders(headers)).toEqual([]);
  expect(checkWebhookHeaders({ ...headers, "x-d": "a" })).toEqual([
    { field: "headers", description: "must have at most 12288 characters together, names and values" },
  ]);
});

test("a name that is too long is not repeated whole", () => {
  const [violation] = checkWebhookHeaders({ ["x".repeat(100_000)]: "v" });
  expect(violation!.field.length).toBeLessThan(200);
});

test("names that differ only in case are one header given twice", () => {
  expect(checkWebhookHeaders({ "X-A": "1", "x-a": "2" })).toEqual([
    { field: 'headers["x-a"]', description: expect.stringContaining("twice") },
  ]);
});

test("more than twenty headers are refused", () => {
  const headers = Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`x-${i}`, "v"]));
  expect(checkWebhookHeaders(headers)).toEqual([{ field: "headers", description: "at most 20 headers are allowed" }]);
});

test("whatever is allowed is a header that HTTP's own rules allow", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (name, value) => {
      if (checkWebhookHeaders({ [name]: value }).length > 0) return;
      expect(() => new Headers([[name, value]])).not.toThrow();
      expect(value).not.toMatch(/[\r\n\0]/);
    }),
  );
});

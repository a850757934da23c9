import { expect, it } from "vitest";
import {
  isSensitiveHeader,
  maskedHeaders,
  maskedValue,
  maskViolations,
  unmaskedHeaders,
} from "../../src/domain/masked-headers.ts";

it.each([
  "authorization",
  "Authorization",
  "X-Authorization",
  "cookie",
  "x-api-key",
  "X-API-KEY",
  "api_key",
  "apikey",
  "x-acme-token",
  "accessToken",
  "x-shared-secret",
  "x-password",
  "x-auth",
  "x-session",
  "x-hub-signature",
  "my.credentials",
])("the value of %s is a secret", (name) => {
  expect(isSensitiveHeader(name)).toBe(true);
  expect(maskedHeaders({ [name]: "v" })).toEqual({ [name]: maskedValue });
});

it.each(["x-shop", "x-tenant", "accept", "x-account", "x-author", "x-keyboard", "constructor"])(
  "the value of %s is shown",
  (name) => {
    expect(maskedHeaders({ [name]: "v" })).toEqual({ [name]: "v" });
  },
);

it("a mask that is sent back stands for the stored value, whatever the case of the name", () => {
  const stored = { Authorization: "Bearer 1", "x-shop": "7" };
  expect(unmaskedHeaders({ authorization: maskedValue, "x-shop": "8" }, stored)).toEqual({
    authorization: "Bearer 1",
    "x-shop": "8",
  });
  expect(unmaskedHeaders(maskedHeaders(stored), stored)).toEqual(stored);
});

it("a mask for which nothing is stored stays one, and is found; asterisks elsewhere are no mask", () => {
  const headers = unmaskedHeaders({ "x-api-key": maskedValue, "x-stars": maskedValue }, {});
  expect(maskViolations(headers, { field: "webhook.headers", description: "no" })).toEqual([
    { field: 'webhook.headers["x-api-key"]', description: "no" },
  ]);
});

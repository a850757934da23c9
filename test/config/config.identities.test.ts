import { describe, expect, it } from "vitest";
import { describeConfig, type Environment, readConfig } from "../../src/config.ts";
import { publicId } from "../../src/domain/ids.ts";
import { scopes } from "../../src/domain/scope.ts";

const organizationId = "0196a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c";
const organization = publicId("organization", organizationId);
const tls = { TELLWIRE_TLS_CERT: "a", TELLWIRE_TLS_KEY: "b", TELLWIRE_GRPC_CLIENT_CA: "c" };
const tokens = {
  TELLWIRE_JWT_ISSUER: "https://login.example.com/",
  TELLWIRE_JWT_JWKS_URL: "https://login.example.com/.well-known/jwks.json",
  TELLWIRE_JWT_AUDIENCE: "tellwire",
};

describe("client certificates", () => {
  it("are not asked for unless there is an authority", () => {
    expect(readConfig("serve", {}).grpcClients).toBeUndefined();
    expect(readConfig("serve", tls).grpcClients).toEqual({ caPath: "c", isRequired: false, identities: [] });
  });

  it("stand for whom the list says, and the description says it again", () => {
    const text = `spiffe://example.com/a=b/c=operator, Publisher.Internal=${organization}:events:publish+webhooks:read,x=${organizationId}`;
    const config = readConfig("serve", {
      ...tls,
      TELLWIRE_GRPC_CLIENT_AUTH: "required",
      TELLWIRE_GRPC_CLIENT_IDENTITIES: text,
    });
    expect(config.grpcClients).toEqual({
      caPath: "c",
      isRequired: true,
      identities: [
        { name: "spiffe://example.com/a=b/c", grant: { kind: "operator" } },
        {
          name: "publisher.internal",
          grant: { kind: "organization", organizationId, scopes: ["events:publish", "webhooks:read"] },
        },
        { name: "x", grant: { kind: "organization", organizationId, scopes: [...scopes] } },
      ],
    });
    const described = describeConfig(config);
    expect(described).toMatchObject({ TELLWIRE_GRPC_CLIENT_CA: "c", TELLWIRE_GRPC_CLIENT_AUTH: "required" });
    const again = { ...tls, TELLWIRE_GRPC_CLIENT_IDENTITIES: described.TELLWIRE_GRPC_CLIENT_IDENTITIES };
    expect(readConfig("serve", again).grpcClients?.identities).toEqual(config.grpcClients?.identities);
  });

  it.each([
    "billing",
    "=operator",
    "billing=",
    "billing=Operator",
    "billing=admin",
    "*.internal=operator",
    "CN=billing=operator",
    "a b=operator",
    "billing.=operator",
    "spiffe:billing=operator",
    "Spiffe://a=operator",
    "billing=org_x",
    `billing=${organization}:`,
    `billing=${organization}:webhooks`,
    `billing=${organization}:webhooks:read+`,
    `billing=${organization}:webhooks:read+everything`,
    `billing=${organization}:webhooks:read:write`,
    "billing=operator:webhooks:read",
    "billing=operator,",
  ])("%j is refused with the variable", (text) => {
    const violations = violationsOf({ ...tls, TELLWIRE_GRPC_CLIENT_IDENTITIES: text });
    expect(violations).toEqual([expect.stringMatching(/^TELLWIRE_GRPC_CLIENT_IDENTITIES must be names and what/)]);
  });

  it("a name that is listed twice is refused", () => {
    const text = "a.internal=operator,A.internal=operator";
    expect(violationsOf({ ...tls, TELLWIRE_GRPC_CLIENT_IDENTITIES: text })).toEqual([
      expect.stringContaining("a.internal is listed twice"),
    ]);
  });

  it("need TLS and an authority", () => {
    expect(violationsOf({ TELLWIRE_GRPC_CLIENT_CA: "c" })).toEqual([
      expect.stringMatching(/^TELLWIRE_TLS_CERT must be set where TELLWIRE_GRPC_CLIENT_CA is/),
    ]);
    for (const [name, value] of [
      ["TELLWIRE_GRPC_CLIENT_AUTH", "optional"],
      ["TELLWIRE_GRPC_CLIENT_IDENTITIES", "a=operator"],
    ] as const) {
      expect(violationsOf({ [name]: value })).toEqual([
        expect.stringMatching(new RegExp(`^TELLWIRE_GRPC_CLIENT_CA must be set where ${name} is`)),
      ]);
    }
  });
});

describe("tokens of an issuer", () => {
  it("are taken where the three variables are set", () => {
    expect(readConfig("serve", {}).externalTokens).toBeUndefined();
    expect(readConfig("serve", tokens).externalTokens).toEqual({
      issuer: "https://login.example.com/",
      jwksUrl: "https://login.example.com/.well-known/jwks.json",
      audience: "tellwire",
      organizationClaim: "organization_id",
      scopeClaim: "scope",
      operatorClaim: undefined,
    });
    const claims = {
      TELLWIRE_JWT_ORGANIZATION_CLAIM: "https://example.com/org",
      TELLWIRE_JWT_SCOPE_CLAIM: "tellwire.scopes",
      TELLWIRE_JWT_OPERATOR_CLAIM: "realm_access.roles=tellwire-operator",
    };
    expect(readConfig("serve", { ...tokens, ...claims }).externalTokens).toMatchObject({
      organizationClaim: "https://example.com/org",
      scopeClaim: "tellwire.scopes",
      operatorClaim: { claim: "realm_access.roles", value: "tellwire-operator" },
    });
    expect(describeConfig(readConfig("serve", { ...tokens, ...claims }))).toMatchObject({ ...tokens, ...claims });
  });

  it.each(Object.keys(tokens) as (keyof typeof tokens)[])("need all three: without %s the start is refused", (name) => {
    const { [name]: _, ...others } = tokens;
    expect(violationsOf(others)).toContainEqual(expect.stringMatching(new RegExp(`^${name} must be set`)));
  });

  it.each(["TELLWIRE_JWT_ORGANIZATION_CLAIM", "TELLWIRE_JWT_SCOPE_CLAIM", "TELLWIRE_JWT_OPERATOR_CLAIM"])(
    "%s alone means nothing",
    (name) => {
      expect(violationsOf({ [name]: "a=b" })).toEqual([expect.stringMatching(/^TELLWIRE_JWT_ISSUER must be set/)]);
    },
  );

  it.each([
    ["TELLWIRE_JWT_JWKS_URL", "login.example.com/jwks.json"],
    ["TELLWIRE_JWT_JWKS_URL", "ftp://login.example.com/jwks.json"],
    ["TELLWIRE_JWT_JWKS_URL", "file:///etc/jwks.json"],
    ["TELLWIRE_JWT_JWKS_URL", "https://user:hunter2@login.example.com/jwks.json"],
    ["TELLWIRE_JWT_JWKS_URL", "https://login.example.com/a b"],
    ["TELLWIRE_JWT_ORGANIZATION_CLAIM", "organization id"],
    ["TELLWIRE_JWT_SCOPE_CLAIM", "a b"],
    ["TELLWIRE_JWT_OPERATOR_CLAIM", "operator"],
    ["TELLWIRE_JWT_OPERATOR_CLAIM", "roles="],
    ["TELLWIRE_JWT_OPERATOR_CLAIM", "=operator"],
    ["TELLWIRE_JWT_OPERATOR_CLAIM", "roles=a b"],
  ])("%s=%s is refused", (name, value) => {
    const violations = violationsOf({ ...tokens, [name]: value });
    expect(violations).toEqual([expect.stringMatching(new RegExp(`^${name} must be`))]);
    expect(violations.join()).not.toContain("hunter2");
  });
});

function violationsOf(environment: Environment): string[] {
  try {
    readConfig("serve", environment);
    return [];
  } catch (error) {
    const { fieldViolations } = error as { fieldViolations: { field: string; description: string }[] };
    return fieldViolations.map(({ field, description }) => `${field} ${description}`);
  }
}

import { timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Scope, ScopeSchema } from "../../gen/tellwire/v1/access_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { type Scope as ScopeName, scopes as scopeNames } from "../../src/domain/scope.ts";
import type { Principal } from "../../src/usecases/access.ts";
import { createUseCases } from "../../src/usecases/use-cases.ts";
import { operator, organizationPrincipal, peer } from "../support/principals.ts";
import { waitFor } from "../support/wait-for.ts";
import { errorOf, operatorKey, startApi, type TestApi, webhookFor } from "./start-api.ts";

const hour = 3_600_000;
let api: TestApi;
let shop: Awaited<ReturnType<TestApi["addOrganization"]>>;
beforeAll(async () => {
  api = await startApi();
  await api.useCases.accessChannel.start();
  shop = await api.addOrganization();
});
afterAll(async () => {
  await api.useCases.accessChannel.stop();
  await api.close();
});

describe("a token that a key makes", () => {
  it("opens the key's organization by either header, for an hour", async () => {
    const beforeMs = api.dependencies.ids.now();
    const created = await shop.clients.organizations.createPortalToken({ organizationId: shop.id });
    const afterMs = api.dependencies.ids.now();
    expect(created).toMatchObject({
      token: expect.stringMatching(/^twp_/),
      id: expect.stringMatching(/^ptk_/),
      organizationId: shop.id,
      projectId: "",
    });
    // The end is at a whole second.
    const endsAtMs = timestampDate(created.expireTime!).getTime();
    expect(endsAtMs).toBeGreaterThan(beforeMs + hour - 1_000);
    expect(endsAtMs).toBeLessThanOrEqual(afterMs + hour);
    for (const headers of [{ "x-api-key": created.token }, { authorization: `Bearer ${created.token}` }]) {
      const { organizations } = await api.clients(headers).organizations.listOrganizations({});
      expect(organizations.map(({ id }) => id)).toEqual([shop.id]);
    }
  });

  it("is the token that acts, not the key", async () => {
    const { token, id } = await shop.clients.organizations.createPortalToken({ organizationId: shop.id });
    const principal = await principalOf(token);
    expect(principal.actor).toEqual({ kind: "PORTAL_TOKEN", id });
  });

  it("sees nothing of another organization, and cannot be made for one", async () => {
    const other = await api.addOrganization();
    const { token } = await shop.clients.organizations.createPortalToken({ organizationId: shop.id });
    const clients = api.clients({ "x-api-key": token });
    expect((await errorOf(clients.organizations.getOrganization({ id: other.id }))).reason).toBe(
      "ORGANIZATION_NOT_FOUND",
    );
    const foreign = shop.clients.organizations.createPortalToken({ organizationId: other.id });
    expect((await errorOf(foreign)).reason).toBe("ORGANIZATION_NOT_FOUND");
    const nobody = { organizationId: "org_00000000000000000000000000" };
    expect((await errorOf(api.operator.organizations.createPortalToken(nobody))).reason).toBe("ORGANIZATION_NOT_FOUND");
  });

  it("ends at its time, and says when that was", async () => {
    const { token, expireTime } = await shop.clients.organizations.createPortalToken({
      organizationId: shop.id,
      lifetime: { seconds: 60n },
    });
    const elsewhere = createUseCases({
      ...api.dependencies,
      ids: { ...api.dependencies.ids, now: () => timestampDate(expireTime!).getTime() },
    });
    await expect(elsewhere.authenticate({ keyText: token, ...peer })).rejects.toMatchObject({
      reason: "KEY_INVALID",
      message: `the token expired at ${timestampDate(expireTime!).toISOString()}: get another one`,
    });
    expect(await principalOf(token)).toBeDefined();
  });

  it("is refused by a server with other keys", async () => {
    const { token } = await shop.clients.organizations.createPortalToken({ organizationId: shop.id });
    const elsewhere = createUseCases({ ...api.dependencies, secretsKeys: [Buffer.alloc(32, 1)] });
    await expect(elsewhere.authenticate({ keyText: token, ...peer })).rejects.toMatchObject({ reason: "KEY_INVALID" });
  });

  it("is no reason to look anything up where it is nonsense", async () => {
    const refused = await errorOf(api.clients({ "x-api-key": "twp_a.b.c" }).webhooks.listWebhooks({}));
    expect(refused).toMatchObject({ reason: "KEY_INVALID", code: Code.Unauthenticated });
  });
});

describe("what a token may do", () => {
  const all = ScopeSchema.values.map(({ number }) => number as Scope);
  const notPassedOn: Scope[] = [Scope.UNSPECIFIED, Scope.KEYS_READ, Scope.KEYS_WRITE, Scope.AUDIT_READ];

  it("is all that its maker may, but nothing with keys, and the audit log only where it is named", async () => {
    const { scopes } = await shop.clients.organizations.createPortalToken({ organizationId: shop.id });
    expect(scopes.toSorted()).toEqual(all.filter((scope) => !notPassedOn.includes(scope)).toSorted());
    const named = await shop.clients.organizations.createPortalToken({
      organizationId: shop.id,
      scopes: [Scope.AUDIT_READ],
    });
    expect(named.scopes).toEqual([Scope.AUDIT_READ]);
    expect((await principalOf(named.token)).scopes).toEqual(new Set(["audit:read"]));
  });

  it("is reading, for a token that only reads", async () => {
    const { token, scopes } = await shop.clients.organizations.createPortalToken({
      organizationId: shop.id,
      readOnly: true,
    });
    expect(scopes.toSorted()).toEqual([Scope.WEBHOOKS_READ, Scope.EVENTS_READ, Scope.DELIVERIES_READ].toSorted());
    const clients = api.clients({ "x-api-key": token });
    await clients.webhooks.listWebhooks({});
    await clients.events.listEvents({});
    await clients.deliveries.listDeliveries({});
    const write = clients.webhooks.createWebhook({ webhook: webhookFor("http://127.0.0.1:65535/") });
    expect(await errorOf(write)).toMatchObject({
      reason: "SCOPE_MISSING",
      code: Code.PermissionDenied,
      metadata: { scope: "webhooks:write" },
    });
  });

  it("is what it was made for, and no key can be made with it", async () => {
    const { token } = await shop.clients.organizations.createPortalToken({
      organizationId: shop.id,
      scopes: [Scope.WEBHOOKS_WRITE],
    });
    const { organizations, webhooks } = api.clients({ "x-api-key": token });
    for (const call of [
      () => webhooks.listWebhooks({}),
      () => organizations.createApiKey({ organizationId: shop.id }),
      () => organizations.listApiKeys({ organizationId: shop.id }),
      () => organizations.createPortalToken({ organizationId: shop.id }),
    ]) {
      expect((await errorOf(call())).reason).toBe("SCOPE_MISSING");
    }
    expect((await errorOf(organizations.createOrganization({ organization: { name: "x" } }))).reason).toBe(
      "OPERATOR_REQUIRED",
    );
  });

  it("is never more than its maker may do", async () => {
    const { key } = await shop.clients.organizations.createApiKey({
      organizationId: shop.id,
      apiKey: { scopes: [Scope.KEYS_WRITE, Scope.WEBHOOKS_READ, Scope.AUDIT_READ] },
    });
    const { organizations } = api.clients({ "x-api-key": key });
    const { scopes } = await organizations.createPortalToken({ organizationId: shop.id });
    expect(scopes).toEqual([Scope.WEBHOOKS_READ]);
    const more = { organizationId: shop.id, scopes: [Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE] };
    expect(await errorOf(organizations.createPortalToken(more))).toMatchObject({
      reason: "SCOPE_MISSING",
      metadata: { scope: "webhooks:write" },
    });
  });

  it("is nothing to be made, where the maker has nothing to pass on", async () => {
    const { key } = await shop.clients.organizations.createApiKey({
      organizationId: shop.id,
      apiKey: { scopes: [Scope.KEYS_WRITE] },
    });
    const { organizations } = api.clients({ "x-api-key": key });
    for (const readOnly of [true, false]) {
      const call = organizations.createPortalToken({ organizationId: shop.id, readOnly });
      expect((await errorOf(call)).reason).toBe("SCOPE_MISSING");
    }
  });
});

describe("what is wrong with a request is named", () => {
  it.each([
    ["scopes[0]", { scopes: [Scope.UNSPECIFIED] }],
    ["scopes[0]", { scopes: [99 as Scope] }],
    ["scopes", { scopes: [Scope.WEBHOOKS_READ, Scope.WEBHOOKS_READ] }],
    ["scopes", { scopes: [Scope.KEYS_READ] }],
    ["scopes", { scopes: [Scope.WEBHOOKS_READ, Scope.KEYS_WRITE] }],
    ["lifetime", { lifetime: { seconds: 59n } }],
    ["lifetime", { lifetime: { seconds: 86_401n } }],
    ["lifetime", { lifetime: { seconds: -60n } }],
    ["project_id", { projectId: "a b" }],
    ["project_id", { projectId: "x".repeat(129) }],
    ["organization_id", { organizationId: "acme" }],
  ])("%s (case %#)", async (field, request) => {
    const call = shop.clients.organizations.createPortalToken({ organizationId: shop.id, ...request });
    expect((await errorOf(call)).fields).toHaveProperty([field]);
  });

  it("reading only and scopes exclude each other", async () => {
    const both = { organizationId: shop.id, readOnly: true, scopes: [Scope.WEBHOOKS_READ] };
    const refused = await errorOf(shop.clients.organizations.createPortalToken(both));
    expect(refused.reason).toBe("INVALID_FIELDS");
    expect(refused.message).toContain("read_only");
  });

  it("a project that the organization does not have", async () => {
    const { organization } = await api.operator.organizations.createOrganization({
      organization: { name: "With projects", projectIds: ["one"] },
    });
    const organizationId = organization!.id;
    const call = api.operator.organizations.createPortalToken({ organizationId, projectId: "two" });
    expect((await errorOf(call)).reason).toBe("PROJECT_NOT_FOUND");
  });
});

describe("projects", () => {
  it("a token of a project sees what belongs to that", async () => {
    const organization = await api.addOrganization();
    const organizationId = organization.id;
    const webhook = (projectId: string) =>
      organization.clients.webhooks.createWebhook({
        webhook: webhookFor("http://127.0.0.1:65535/", { projectIds: [projectId] }),
      });
    const mine = (await webhook("one")).webhook!.id;
    await webhook("two");
    const { token, projectId } = await organization.clients.organizations.createPortalToken({
      organizationId,
      projectId: "one",
    });
    expect(projectId).toBe("one");
    const { webhooks } = await api.clients({ "x-api-key": token }).webhooks.listWebhooks({});
    expect(webhooks.map(({ id }) => id)).toEqual([mine]);
  });

  it("a key of a project makes tokens of that project, and of no other", async () => {
    const organization = await api.addOrganization();
    const organizationId = organization.id;
    const { key } = await organization.clients.organizations.createApiKey({
      organizationId,
      apiKey: { projectId: "one" },
    });
    const { organizations } = api.clients({ "x-api-key": key });
    const { token, projectId } = await organizations.createPortalToken({ organizationId });
    expect(projectId).toBe("one");
    expect(await principalOf(token)).toMatchObject({ projectId: "one" });
    const other = organizations.createPortalToken({ organizationId, projectId: "two" });
    expect((await errorOf(other)).reason).toBe("PROJECT_NOT_FOUND");
  });
});

describe("a token ends with what it was made with", () => {
  it("with a key that is revoked, at once and in every process", async () => {
    const { id: organizationId, clients } = await api.addOrganization();
    const { token } = await clients.organizations.createPortalToken({ organizationId });
    const { token: another } = await api.operator.organizations.createPortalToken({ organizationId });
    // Its clock stands, so that what it has in memory never grows too old: it has to hear of the revocation.
    const stood = api.dependencies.ids.now();
    const elsewhere = createUseCases({ ...api.dependencies, ids: { ...api.dependencies.ids, now: () => stood } });
    await elsewhere.accessChannel.start();
    try {
      await elsewhere.authenticate({ keyText: token, ...peer });
      await principalOf(token);
      const { apiKeys } = await clients.organizations.listApiKeys({ organizationId });
      await clients.organizations.revokeApiKey({ organizationId, id: apiKeys[0]!.id });
      await expect(principalOf(token)).rejects.toMatchObject({
        reason: "KEY_INVALID",
        message: "the token has ended, because the key that it was made with was revoked: get another one",
      });
      const isRefused = () =>
        elsewhere.authenticate({ keyText: token, ...peer }).then(
          () => false,
          () => true,
        );
      await waitFor(isRefused, { what: "the revocation in the other process" });
      expect(await principalOf(another)).toBeDefined();
    } finally {
      await elsewhere.accessChannel.stop();
    }
  });

  it("with a key that expires", async () => {
    const organizationId = shop.id;
    const expireTime = timestampFromMs(api.dependencies.ids.now() + 120_000);
    const { key } = await api.operator.organizations.createApiKey({ organizationId, apiKey: { expireTime } });
    const { token } = await api.clients({ "x-api-key": key }).organizations.createPortalToken({ organizationId });
    await principalOf(token);
    const later = api.dependencies.ids.now() + 121_000;
    const elsewhere = createUseCases({ ...api.dependencies, ids: { ...api.dependencies.ids, now: () => later } });
    await expect(elsewhere.authenticate({ keyText: token, ...peer })).rejects.toMatchObject({
      reason: "KEY_INVALID",
      message: expect.stringMatching(/^the token has ended, because the key that it was made with expired at /),
    });
  });

  it("with an operator's key that was replaced", async () => {
    const { token } = await api.operator.organizations.createPortalToken({ organizationId: shop.id });
    const both = createUseCases({
      ...api.dependencies,
      operatorKeys: ["another-operator-key-0123456789", operatorKey],
    });
    expect(await both.authenticate({ keyText: token, ...peer })).toBeDefined();
    const replaced = createUseCases({ ...api.dependencies, operatorKeys: ["another-operator-key-0123456789"] });
    await expect(replaced.authenticate({ keyText: token, ...peer })).rejects.toMatchObject({ reason: "KEY_INVALID" });
  });

  it("with a certificate's name that is listed no longer, or for less", async () => {
    const organizationId = parseId("organization", shop.id)!;
    const name = "portal.internal";
    const listedFor = (scopes: readonly ScopeName[]) =>
      createUseCases({
        ...api.dependencies,
        clientIdentities: [{ name, grant: { kind: "organization", organizationId, scopes } }],
      });
    const maker = organizationPrincipal(organizationId, { actor: { kind: "CLIENT_CERTIFICATE", id: name } });
    const input = {
      organizationId,
      projectId: undefined,
      access: { kind: "everything" },
      lifetimeMs: undefined,
    } as const;
    const { text } = await listedFor(scopeNames).portalTokens.create(maker, input);
    const credentials = { keyText: text, ...peer };
    expect((await listedFor(scopeNames).authenticate(credentials)).scopes.size).toBe(7);
    expect((await listedFor(["events:read"]).authenticate(credentials)).scopes).toEqual(new Set(["events:read"]));
    await expect(api.useCases.authenticate(credentials)).rejects.toMatchObject({ reason: "KEY_INVALID" });
  });

  it.each(["EXTERNAL_TOKEN", "PORTAL_TOKEN"] as const)(
    "so that nobody makes one who is known by a %s",
    async (kind) => {
      const organizationId = parseId("organization", shop.id)!;
      const actor = { kind, id: "x" };
      const input = {
        organizationId,
        projectId: undefined,
        access: { kind: "everything" },
        lifetimeMs: undefined,
      } as const;
      for (const principal of [organizationPrincipal(organizationId, { actor }), { ...operator, actor }]) {
        await expect(api.useCases.portalTokens.create(principal, input)).rejects.toMatchObject({
          reason: "API_KEY_REQUIRED",
        });
      }
    },
  );
});

async function principalOf(keyText: string): Promise<Principal> {
  return await api.useCases.authenticate({ keyText, ...peer });
}

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Dialect } from "../../src/dialects/dialect.ts";
import { parseId } from "../../src/domain/ids.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import { createServedDialects } from "../../src/served-dialects.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { type DialectReply, type ServedDialect, serveDialect } from "./serve-dialect.ts";

/** A request of one route, made anew by what the route needs, and what it has to leave in the audit log. */
interface RouteCase {
  request(caller: Caller): Promise<{ path: string; body?: unknown }>;
  leaves: string[];
}

interface Caller {
  call(method: string, path: string, body?: unknown): Promise<DialectReply>;
  /** The organization's UUID. */
  organizationId: string;
}

const url = "http://127.0.0.1:19999/hook";
/** No text of these may be found in the log. */
const canaries = ["canarysecret1697f925ec7b1697", "canarysecret2697f925ec7b1697", "canary-of-a-payload"];
const [firstSecret, secondSecret, payload] = canaries;

const layerBody = { target_url: url, event_types: ["user.registered"], secret: firstSecret };
async function layerWebhook({ call, organizationId }: Caller): Promise<string> {
  const { body } = await call("POST", `/apps/${organizationId}/webhooks`, layerBody);
  return `/apps/${organizationId}/webhooks/${body.id.split("/").at(-1)}`;
}

const verifikBody = () => ({ url, name: randomUUID(), isActive: true, secret: firstSecret });
async function verifikWebhook({ call }: Caller): Promise<string> {
  return `/v2/webhooks/${(await call("POST", "/v2/webhooks", verifikBody())).body.data._id}`;
}

const layersBody = { url, events: ["job.completed"] };
async function layersEndpoint({ call }: Caller): Promise<string> {
  return `/v1/webhook-endpoints/${(await call("POST", "/v1/webhook-endpoints", layersBody)).body.endpoint.id}`;
}

/** By dialect, method and path. A route that is not here fails the test below. */
const cases: Readonly<Record<string, RouteCase>> = {
  "layer POST /apps/{app}/webhooks": {
    request: async ({ organizationId }) => ({ path: `/apps/${organizationId}/webhooks`, body: layerBody }),
    leaves: ["webhook.create"],
  },
  "layer GET /apps/{app}/webhooks": {
    request: async ({ organizationId }) => ({ path: `/apps/${organizationId}/webhooks` }),
    leaves: [],
  },
  "layer GET /apps/{app}/webhooks/{webhook}": {
    request: async (caller) => ({ path: await layerWebhook(caller) }),
    leaves: [],
  },
  "layer PATCH /apps/{app}/webhooks/{webhook}": {
    request: async (caller) => ({
      path: await layerWebhook(caller),
      body: { event_types: ["user.updated"], secret: secondSecret },
    }),
    leaves: ["webhook.update", "webhook.rotate_secret"],
  },
  "layer DELETE /apps/{app}/webhooks/{webhook}": {
    request: async (caller) => ({ path: await layerWebhook(caller) }),
    leaves: ["webhook.delete"],
  },
  "layer POST /apps/{app}/webhooks/{webhook}/activate": {
    request: async (caller) => ({ path: `${await layerWebhook(caller)}/activate` }),
    leaves: ["webhook.activate"],
  },
  "layer POST /apps/{app}/webhooks/{webhook}/deactivate": {
    request: async (caller) => ({ path: `${await layerWebhook(caller)}/deactivate` }),
    leaves: ["webhook.disable"],
  },
  "verifik POST /v2/webhooks": {
    request: async () => ({ path: "/v2/webhooks", body: verifikBody() }),
    leaves: ["webhook.create"],
  },
  "verifik GET /v2/webhooks": { request: async () => ({ path: "/v2/webhooks" }), leaves: [] },
  // These answers show the secret.
  "verifik GET /v2/webhooks/{id}": {
    request: async (caller) => ({ path: await verifikWebhook(caller) }),
    leaves: ["webhook.read_secret"],
  },
  "verifik PUT /v2/webhooks/{id}": {
    request: async (caller) => ({
      path: await verifikWebhook(caller),
      body: { description: "new", secret: secondSecret, isActive: false },
    }),
    leaves: ["webhook.update", "webhook.rotate_secret", "webhook.disable", "webhook.read_secret"],
  },
  "verifik DELETE /v2/webhooks/{id}": {
    request: async (caller) => ({ path: await verifikWebhook(caller) }),
    leaves: ["webhook.delete"],
  },
  "layers POST /v1/webhook-endpoints": {
    request: async () => ({ path: "/v1/webhook-endpoints", body: layersBody }),
    leaves: ["webhook.create"],
  },
  "layers GET /v1/webhook-endpoints": { request: async () => ({ path: "/v1/webhook-endpoints" }), leaves: [] },
  "layers GET /v1/webhook-endpoints/{id}": {
    request: async (caller) => ({ path: await layersEndpoint(caller) }),
    leaves: [],
  },
  "layers PATCH /v1/webhook-endpoints/{id}": {
    request: async (caller) => ({
      path: await layersEndpoint(caller),
      body: { description: "new", status: "paused" },
    }),
    leaves: ["webhook.update", "webhook.pause"],
  },
  "layers DELETE /v1/webhook-endpoints/{id}": {
    request: async (caller) => ({ path: await layersEndpoint(caller) }),
    leaves: ["webhook.delete"],
  },
  "layers POST /v1/webhook-endpoints/{id}/rotate-secret": {
    request: async (caller) => ({ path: `${await layersEndpoint(caller)}/rotate-secret` }),
    leaves: ["webhook.rotate_secret"],
  },
  "layers POST /v1/webhook-endpoints/{id}/test": {
    request: async (caller) => ({ path: `${await layersEndpoint(caller)}/test`, body: { payload: { text: payload } } }),
    leaves: ["webhook.send"],
  },
  "layers GET /v1/webhook-endpoints/{id}/deliveries": {
    request: async (caller) => ({ path: `${await layersEndpoint(caller)}/deliveries` }),
    leaves: [],
  },
  "layers POST /v1/webhook-deliveries/{deliveryId}/replay": {
    request: async (caller) => {
      const { body } = await caller.call("POST", `${await layersEndpoint(caller)}/test`);
      return { path: `/v1/webhook-deliveries/${body.deliveryId}/replay` };
    },
    leaves: ["delivery.replay"],
  },
};

let api: TestApi;
const served = new Map<string, ServedDialect>();
/** What every answer said, in which the secrets are. */
const answers: string[] = [];

beforeAll(async () => {
  api = await startApi();
  for (const dialect of dialectsOn(api)) served.set(dialect.name, await serveDialect(api, dialect));
});
afterAll(async () => {
  for (const each of served.values()) await each.close();
  await api?.close();
});

function dialectsOn({ useCases }: Pick<TestApi, "useCases">): readonly Dialect[] {
  return createServedDialects(useCases, { publicUrl: undefined, tls: undefined, defaultPolicy: DEFAULT_RETRY_POLICY });
}

it("every route of every dialect has a case, and no case is left over", () => {
  const routes = dialectsOn(api).flatMap(({ name, routes: all }) =>
    all.map(({ method, path }) => `${name} ${method} ${named(path)}`),
  );
  expect(Object.keys(cases).map(named).sort()).toEqual(routes.sort());
  const changing = Object.entries(cases).filter(([route]) => !route.includes(" GET "));
  expect(changing.filter(([, { leaves }]) => leaves.length === 0)).toEqual([]);
});

describe("what a route changes, and a secret that it shows, is in the audit log", () => {
  it.each(Object.entries(cases))("%s", async (route, { request, leaves }) => {
    const [name = "", method = ""] = route.split(" ");
    const { id, key } = await api.addOrganization();
    const organizationId = parseId("organization", id)!;
    const call = async (verb: string, path: string, body?: unknown): Promise<DialectReply> => {
      const headers = { "x-api-key": key };
      const reply = await served.get(name)!.call(verb, path, { key, headers, ...(body === undefined ? {} : { body }) });
      expect(reply.status, JSON.stringify(reply.body)).toBeLessThan(300);
      answers.push(JSON.stringify(reply.body ?? ""));
      return reply;
    };
    const { path, body } = await request({ call, organizationId });
    const before = await actionsOf(organizationId);
    await call(method, path, body);
    expect((await actionsOf(organizationId)).slice(before.length)).toEqual(leaves);
  });

  it("and none of it holds a secret or a payload", async () => {
    const rows = await api.database.sql.query<{ text: string }>(
      { name: "", text: "select audit_entry::text as text from audit_entry" },
      [],
    );
    const log = rows.map(({ text }) => text).join("\n");
    const shown = answers.join("\n").match(/whsec_[\w+/=]+/g) ?? [];
    expect(shown.length).toBeGreaterThan(5);
    expect(rows.length).toBeGreaterThan(50);
    for (const secret of [...canaries, ...shown]) expect(log).not.toContain(secret);
  });
});

/** An organization's actions, in their order. */
async function actionsOf(organizationId: string): Promise<string[]> {
  const text = "select action from audit_entry where organization_id = $1 order by id";
  const rows = await api.database.sql.query<{ action: string }>({ name: "", text }, [organizationId]);
  return rows.map(({ action }) => action);
}

/** A route, whatever its parameters are called. */
function named(path: string): string {
  return path.replaceAll(/\{[^}]*\}/g, "{}");
}

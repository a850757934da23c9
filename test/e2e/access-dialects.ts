import { WebhookFormat } from "../../gen/tellwire/v1/webhook_pb.ts";
import type { Dialect, DialectRoute } from "../../src/dialects/dialect.ts";
import { createServedDialects } from "../../src/served-dialects.ts";
import type { UseCases } from "../../src/usecases/use-cases.ts";

/** A route of a dialect, as its table has it. */
export interface WalkedRoute {
  /** `layer POST /apps/{app}/webhooks`. */
  name: string;
  dialect: Dialect;
  route: DialectRoute;
}

/** Every route of every dialect that is served. The tables alone are read: nothing is called. */
export function readDialectRoutes(): WalkedRoute[] {
  const defaultPolicy = { delaysMs: [], maxAttempts: 1, timeoutMs: 1_000 };
  const dialects = createServedDialects({} as UseCases, { publicUrl: undefined, tls: undefined, defaultPolicy });
  return dialects.flatMap((dialect) =>
    dialect.routes.map((route) => ({ name: `${dialect.name} ${route.method} ${route.path}`, dialect, route })),
  );
}

/** The webhooks that a dialect shows. */
export const formatOf: Readonly<Record<string, WebhookFormat>> = {
  layer: WebhookFormat.LAYER_3_0,
  verifik: WebhookFormat.VERIFIK,
  layers: WebhookFormat.LAYERS,
};

/** Ids by the names of the parameters. */
export type RouteIds = Readonly<Record<string, string>>;

/** The names of a path's parameters. */
export function parametersOf({ path }: DialectRoute): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
}

/** Calls a route with the key. A parameter without an id is a mistake of the test. */
export async function callRoute(
  baseUrl: string,
  { dialect, route }: WalkedRoute,
  { key, ids, body: more = {} }: { key: string | undefined; ids: RouteIds; body?: object },
): Promise<{ status: number; text: string }> {
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const id = ids[name];
    if (id === undefined) throw new Error(`the walk has no id for {${name}} in ${route.path}`);
    return id;
  });
  const isRead = route.method === "GET" || route.method === "DELETE";
  const given = isRead
    ? undefined
    : { ...bodies[dialect.name], ...(route.method === "POST" ? creations[dialect.name] : {}) };
  const body = given && { ...given, ...more };
  const response = await fetch(baseUrl + path, {
    method: route.method,
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(dialect.name === "layer" ? { accept: "application/vnd.layer.webhooks+json; version=3.0" } : {}),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

/** A body that each of a dialect's writing routes understands as far as it has to. */
const bodies: Readonly<Record<string, object>> = {
  layer: { target_url: "https://example.com/hook", events: ["message.sent"] },
  verifik: { description: "changed" },
  layers: { description: "changed" },
};

/** What a creation needs besides. */
const creations: Readonly<Record<string, object>> = { layer: { secret: "0123456789abcdef" } };

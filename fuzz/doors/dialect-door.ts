import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";
import type { DialectRoute } from "../../src/dialects/dialect.ts";
import { createLayerDialect } from "../../src/dialects/layer/layer-dialect.ts";
import { createLayersDialect } from "../../src/dialects/layers/layers-dialect.ts";
import { createVerifikDialect } from "../../src/dialects/verifik/verifik-dialect.ts";
import type { UseCases } from "../../src/usecases/use-cases.ts";
import { mutated } from "../arbitrary/bytes.ts";
import { credentials } from "../arbitrary/credentials.ts";
import { jsonText } from "../arbitrary/json-text.ts";
import { hostileText, mostly, plainJson } from "../arbitrary/values.ts";
import { type Door, makeDoor } from "../door.ts";
import { createHttpClient, type HttpRequest, judgeAnswer } from "../http-client.ts";
import type { World } from "../world.ts";

/** Every route of every dialect, as their own tables have them. */
export function dialectDoor(httpUrl: string, world: World): Door {
  const client = createHttpClient(httpUrl);
  return makeDoor({
    name: "dialects",
    requests: () => fc.constantFrom(...routes).chain((route) => requestOf(route, world)),
    send: async (request) => judgeAnswer(await client.send(request)),
    close: client.close,
  });
}

/** Only the tables are looked at: nothing of a route is called here. */
const noUseCases = {} as UseCases;

const routes: readonly DialectRoute[] = [
  createLayerDialect(noUseCases, { publicUrl: undefined, scheme: "http" }),
  createVerifikDialect(noUseCases, { defaultPolicy: { delaysMs: [], maxAttempts: 1, timeoutMs: 1_000 } }),
  createLayersDialect(noUseCases),
].flatMap((dialect) => dialect.routes);

function requestOf(route: DialectRoute, world: World): fc.Arbitrary<HttpRequest> {
  const body = fc.oneof(
    { arbitrary: jsonText(bodyJson(world)), weight: 8 },
    { arbitrary: mutated(bodyJson(world).map((json) => Buffer.from(JSON.stringify(json)))), weight: 2 },
  );
  return fc.record({
    method: mostly(fc.constant<string>(route.method), fc.constantFrom("GET", "PUT", "PATCH", "DELETE", "HEAD")),
    target: fc.tuple(pathOf(route, world), query).map(([path, parameters]) => path + parameters),
    headers: fc
      .tuple(credentials(world), mostly(fc.constant(json), headers))
      .map(([keys, more]) => ({ ...keys, ...more })),
    body: route.method === "GET" || route.method === "DELETE" ? fc.constant(undefined) : body,
  });
}

function pathOf(route: DialectRoute, world: World): fc.Arbitrary<string> {
  const parts = route.path.split("/").map((part) => {
    if (!part.startsWith("{")) return fc.constant(part);
    const ids = part === "{app}" ? world.organizations : part.includes("elivery") ? world.deliveries : world.webhooks;
    const hostile = hostileText.map((text) => encodeURIComponent(text.toWellFormed()));
    return mostly(ids.length === 0 ? hostile : fc.constantFrom(...ids), hostile);
  });
  return fc.tuple(...parts).map((segments) => segments.join("/"));
}

const query = fc.oneof(
  { arbitrary: fc.constant(""), weight: 3 },
  fc.constantFrom(
    "?page=1&limit=10",
    "?page=-1",
    "?limit=1e9",
    "?cursor=x",
    "?isActive=maybe",
    "?status=active",
    "?page=%00",
    "?projectId=x",
    "?eventType=%2a",
  ),
);

const json: Record<string, string> = { "content-type": "application/json" };

const headers = fc.constantFrom<Record<string, string>>(
  { "content-type": "text/plain" },
  { "content-type": "application/json", "content-encoding": "gzip" },
  { ...json, accept: "application/vnd.layer.webhooks+json; version=2.0" },
  { ...json, accept: "application/vnd.layer.webhooks+json; version=9" },
  { ...json, "idempotency-key": "fuzz" },
  { ...json, "idempotency-key": "x".repeat(300) },
);

/** The fields of all three systems: each reads its own and leaves the others. */
function bodyJson(world: World): fc.Arbitrary<JsonObject> {
  const url = fc.constantFrom(world.receiverUrl, "https://receiver.invalid/hook", "http://10.0.0.1/", "nothing");
  const events = fc.array(fc.constantFrom("message.sent", "job.failed", "post.*", "*", "a..b"), { maxLength: 3 });
  const text = mostly(fc.string({ maxLength: 20 }), hostileText);
  const config: fc.Arbitrary<JsonValue> = fc.dictionary(mostly(fc.string({ maxLength: 6 }), hostileText), plainJson, {
    maxKeys: 4,
  });
  return fc
    .record(
      {
        target_url: url,
        url,
        events,
        event_types: events,
        secret: text,
        config,
        target_config: config,
        version: fc.constantFrom("1.0", "2.0", "3.0", "4.0"),
        name: text,
        description: text,
        isActive: fc.boolean(),
        link: fc.array(text, { maxLength: 3 }),
        projectId: mostly(fc.uuid(), text),
        status: fc.constantFrom("active", "paused", "gone"),
        payload: config,
        retryPolicy: plainJson,
        headers: config,
      },
      { requiredKeys: [] },
    )
    .map((body) => body as JsonObject);
}

import type { UseCases } from "../../usecases/use-cases.ts";
import type { WebhookRecord } from "../../usecases/webhook-record.ts";
import type { Dialect, DialectRequest, HeaderReader } from "../dialect.ts";
import { scopeOfSecret } from "../scope-of-secret.ts";
import { readLayerAccept } from "./layer-accept.ts";
import { describeLayerFailure } from "./layer-errors.ts";
import { layerWebhook } from "./layer-webhook.ts";
import { createLayerWebhooks } from "./layer-webhooks.ts";

export interface LayerDialectOptions {
  /** Where customers reach this service, such as `https://webhooks.example.com`; undefined: where the request says that it went. */
  publicUrl: string | undefined;
  /** The scheme of that place, where there is no public URL. */
  scheme: "http" | "https";
}

/**
 * Layer's webhooks API (`/apps/{app}/webhooks`), in all its generations: the pre-release one, 1.0, 2.0 and 3.0. Clients send
 * `Authorization: Bearer` with a key of this service, and the UUID of their organization as the app.
 */
export function createLayerDialect(useCases: UseCases, options: LayerDialectOptions): Dialect {
  const webhooks = createLayerWebhooks(useCases);
  const answer = (request: DialectRequest, status: number, record: WebhookRecord) => ({
    status,
    body: layerWebhook(record, publicUrlOf(request.header, options)),
  });
  const collection = "/apps/{app}/webhooks";
  const one = `${collection}/{webhook}`;
  return {
    name: "layer",
    claims: (path) => path === "/apps" || path.startsWith("/apps/"),
    keyOf: (header) => /^Bearer +(\S+) *$/i.exec(header("authorization") ?? "")?.[1],
    precondition: ({ header }) => {
      const accept = header("accept");
      return readLayerAccept(accept).kind === "acceptable"
        ? undefined
        : { kind: "not acceptable", accept: accept ?? "" };
    },
    describe: describeLayerFailure,
    routes: [
      {
        method: "POST",
        path: collection,
        scope: "webhooks:write",
        callsReceiver: true,
        handle: async (request) => answer(request, 201, await webhooks.create(request)),
      },
      {
        method: "GET",
        path: collection,
        scope: "webhooks:read",
        handle: async (request) => {
          const publicUrl = publicUrlOf(request.header, options);
          const records = await webhooks.list(request);
          return { status: 200, body: records.map((record) => layerWebhook(record, publicUrl)) };
        },
      },
      {
        method: "GET",
        path: one,
        scope: "webhooks:read",
        handle: async (request) => answer(request, 200, await webhooks.get(request)),
      },
      {
        method: "PATCH",
        path: one,
        scope: "webhooks:write",
        scopeOfBody: scopeOfSecret,
        callsReceiver: true,
        handle: async (request) => answer(request, 200, await webhooks.update(request)),
      },
      {
        method: "DELETE",
        path: one,
        scope: "webhooks:write",
        handle: async (request) => {
          await webhooks.remove(request);
          return { status: 204 };
        },
      },
      {
        method: "POST",
        path: `${one}/activate`,
        scope: "webhooks:write",
        callsReceiver: true,
        handle: async (request) => answer(request, 200, await webhooks.activate(request)),
      },
      {
        method: "POST",
        path: `${one}/deactivate`,
        scope: "webhooks:write",
        handle: async (request) => answer(request, 200, await webhooks.deactivate(request)),
      },
    ],
  };
}

function publicUrlOf(header: HeaderReader, { publicUrl, scheme }: LayerDialectOptions): string {
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, "");
  return `${scheme}://${header("host") ?? header(":authority") ?? "localhost"}`;
}

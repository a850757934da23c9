import { type DescService, type JsonValue, type Registry, toJson } from "@bufbuild/protobuf";
import { expect } from "vitest";
import type { RequestBody } from "../../src/gateway/bind-body.ts";
import { GatewayError } from "../../src/gateway/gateway-error.ts";
import { createGatewayRoutes } from "../../src/gateway/gateway-routes.ts";
import { splitTarget } from "../../src/gateway/raw-path.ts";

/** Binds a request line such as `GET /v1/query?a=b`, with a JSON body or none, and gives the request message as JSON. */
export function createBinder(services: readonly DescService[], registry: Registry): Binder {
  const routes = createGatewayRoutes(services, registry);
  return (request, body) => {
    const space = request.indexOf(" ");
    const { path, query } = splitTarget(request.slice(space + 1));
    const match = routes.match(request.slice(0, space), path);
    if (match.kind !== "found") throw new Error(`${request} is ${match.kind}`);
    const { route, segments } = match;
    const takesBody = route.binding.body !== undefined;
    const message = route.bind({ segments, query, body: takesBody ? toRequestBody(body) : undefined });
    return toJson(route.binding.method.input, message, { registry });
  };
}

export type Binder = (request: string, body?: string | Uint8Array) => JsonValue;

/** The violations of the INVALID_FIELDS error that the function throws, as `field: description`. */
export function violationsOf(run: () => unknown): string[] {
  const error = gatewayErrorOf(run);
  expect(error.reason).toBe("INVALID_FIELDS");
  return error.fieldViolations.map(({ field, description }) => `${field}: ${description}`);
}

export function gatewayErrorOf(run: () => unknown): GatewayError {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

function toRequestBody(body: string | Uint8Array = ""): RequestBody {
  return { contentType: "application/json", bytes: typeof body === "string" ? Buffer.from(body) : body };
}

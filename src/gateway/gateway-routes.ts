import type { DescService, Registry } from "@bufbuild/protobuf";
import { takesRawBody } from "./bind-body.ts";
import { createRequestBinder, type RequestBinder } from "./bind-request.ts";
import { answersRawBody, createMessageEncoder, type MessageEncoder } from "./encode-message.ts";
import { describeBinding, type HttpBinding, readHttpBindings } from "./http-binding.ts";
import { createRouteTrie, type RouteTrie } from "./route-trie.ts";

/**
 * The routes of every method of the services that has a google.api.http rule.
 *
 * @throws {HttpRuleError} where a rule is not valid.
 * @throws {RouteCollisionError} where two rules match the same requests, naming both.
 */
export function createGatewayRoutes(services: readonly DescService[], registry: Registry): RouteTrie<GatewayRoute> {
  const trie = createRouteTrie<GatewayRoute>();
  for (const binding of services.flatMap(readHttpBindings)) {
    const earlier = trie.add(binding.httpMethod, binding.template, compileRoute(binding, registry));
    if (earlier !== undefined) throw new RouteCollisionError(earlier.binding, binding);
  }
  return trie;
}

/** A binding with what was worked out of its descriptors at start. */
export interface GatewayRoute {
  readonly binding: HttpBinding;
  readonly bind: RequestBinder;
  readonly encode: MessageEncoder;
  /** The request body is raw bytes (google.api.HttpBody), of any content type. */
  readonly takesRawBody: boolean;
  /** The answer is raw bytes, of a content type that only the message knows. */
  readonly answersRawBody: boolean;
}

/** Two rules that match the same requests. */
export class RouteCollisionError extends Error {
  override readonly name = "RouteCollisionError";

  constructor(one: HttpBinding, other: HttpBinding) {
    super(`${describeBinding(one)} and ${describeBinding(other)} match the same requests`);
  }
}

function compileRoute(binding: HttpBinding, registry: Registry): GatewayRoute {
  const { input, output } = binding.method;
  return {
    binding,
    bind: createRequestBinder(binding, registry),
    encode: createMessageEncoder(output, binding.responseBody, registry),
    takesRawBody: takesRawBody(input, binding.body),
    answersRawBody: answersRawBody(output, binding.responseBody),
  };
}

import { type DescMessage, equals, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { takesRawBody } from "../../src/gateway/bind-body.ts";
import { createMessageEncoder } from "../../src/gateway/encode-message.ts";
import { describeBinding, type HttpBinding, readHttpBindings } from "../../src/gateway/http-binding.ts";
import { maskToInfer } from "../../src/gateway/inferred-mask.ts";
import { createServiceRegistry } from "../../src/gateway/service-registry.ts";
import { contractServices } from "../support/contract-services.ts";
import { arbitraryJson } from "./arbitrary-message.ts";
import { createBinder } from "./bind-without-server.ts";
import { fixtureService } from "./fixture.ts";
import { type Json, toRestRequest } from "./rest-client.ts";

describe("any request goes through its REST binding and comes back equal", () => {
  check([fixtureService], readHttpBindings(fixtureService));
  check(contractServices, contractServices.flatMap(readHttpBindings));
});

describe("any response is protobuf JSON, and comes back equal", () => {
  const registry = createServiceRegistry(contractServices);
  const bindings = contractServices.flatMap(readHttpBindings);
  test.each(bindings.map((binding) => [describeBinding(binding), binding] as const))("%s", (_, binding) => {
    const { output } = binding.method;
    const field = binding.responseBody;
    const encode = createMessageEncoder(output as DescMessage, field, registry);
    fc.assert(
      fc.property(arbitraryJson(output), (json) => {
        const { data } = encode(fromJson(output, json));
        const received = JSON.parse(new TextDecoder().decode(data)) as JsonValue;
        const expected = field === undefined ? json : (json[field.jsonName] ?? {});
        expect(received).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });
});

function check(services: Parameters<typeof createBinder>[0], bindings: readonly HttpBinding[]): void {
  const registry = createServiceRegistry(services);
  const bind = createBinder(services, registry);
  const cases = bindings.filter(({ method, body }) => !takesRawBody(method.input, body));
  test.each(cases.map((binding) => [describeBinding(binding), binding] as const))("%s", (_, binding) => {
    const { input } = binding.method;
    fc.assert(
      fc.property(arbitraryJson(input), (json) => {
        const { line, body, sent } = toRestRequest(binding, json);
        const bound = withoutInferredMask(binding, sent, bind(line, body) as Json);
        const [actual, expected] = [fromJson(input, bound), fromJson(input, sent)];
        if (!equals(input, actual, expected)) expect(toJson(input, actual)).toEqual(toJson(input, expected));
      }),
      { numRuns: 100 },
    );
  });
}

function withoutInferredMask(binding: HttpBinding, sent: Json, bound: Json): Json {
  const mask = maskToInfer(binding);
  if (mask === undefined || sent[mask.jsonName] !== undefined) return bound;
  const { [mask.jsonName]: _, ...rest } = bound;
  return rest;
}

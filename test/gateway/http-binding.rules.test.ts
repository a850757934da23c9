import { describe, expect, test } from "vitest";
import { createGatewayRoutes, RouteCollisionError } from "../../src/gateway/gateway-routes.ts";
import { describeBinding, HttpRuleError, readHttpBindings } from "../../src/gateway/http-binding.ts";
import { createServiceRegistry } from "../../src/gateway/service-registry.ts";
import { contractServices } from "../support/contract-services.ts";
import { fixtureRegistry, fixtureService, serviceWithRules } from "./fixture.ts";

const get = (value: string) => ({ pattern: { case: "get", value } as const });
const post = (value: string, body = "*") => ({ pattern: { case: "post", value } as const, body });
const custom = (kind: string, path: string) => ({ pattern: { case: "custom", value: { kind, path } } as const });

describe("a rule that cannot be served is an error at start, naming the method", () => {
  test.each([
    ["no path", {}, "the rule has no path"],
    ["a broken template", get("/v1/"), 'path template "/v1/": a segment is empty'],
    ["an unknown field", get("/v1/{nope}"), "the variable nope of /v1/{nope} is not known"],
    ["an unknown nested field", get("/v1/{nested.nope}"), "the variable nested.nope of /v1/{nested.nope} is not known"],
    ["a repeated field", get("/v1/{strings}"), "is a list; a path holds singular scalars and enums"],
    ["a map", get("/v1/{labels}"), "is a map; a path holds singular scalars and enums"],
    ["a message", get("/v1/{nested}"), "is a message; a path holds singular scalars and enums"],
    ["a wrapper", get("/v1/{string_wrapper}"), "is a message; a path holds singular scalars and enums"],
    ["a path through a list", get("/v1/{nesteds.count}"), "cannot be reached: nesteds is repeated"],
    ["one field twice", get("/v1/{string_value}/{stringValue}"), "sets the field stringValue twice"],
    ["two members of a oneof", get("/v1/{choice_text}/{choice_number}"), "sets two members of the oneof choice"],
    [
      "two members of a oneof, one of them nested",
      get("/v1/{choice_text}/{choice_nested.count}"),
      "sets two members of the oneof choice",
    ],
    ["an unknown body field", post("/v1/x", "nope"), "body names nope, which is no field of fixture.v1.Everything"],
    ["a nested body field", post("/v1/x", "nested.count"), "body names nested.count, which is no field"],
    ["a GET with a body", { ...get("/v1/x"), body: "*" }, 'a GET request has no body: leave "body" out'],
    [
      "an unknown response field",
      { ...get("/v1/x"), responseBody: "nope" },
      "response_body names nope, which is no field of fixture.v1.Everything",
    ],
    ["a method in lower case", custom("purge", "/v1/x"), 'custom.kind "purge" is no HTTP method in upper case'],
    ["an empty method", custom("", "/v1/x"), 'custom.kind "" is no HTTP method in upper case'],
    [
      "bindings nested twice",
      { ...get("/v1/x"), additionalBindings: [{ ...get("/v1/y"), additionalBindings: [get("/v1/z")] }] },
      "additional_bindings nest one level deep",
    ],
  ])("%s", (_, rule, problem) => {
    const read = () => readHttpBindings(serviceWithRules([rule]));
    expect(read).toThrow(HttpRuleError);
    expect(read).toThrow("google.api.http of rules.Rules.M0: ");
    expect(read).toThrow(problem);
  });

  test("a method that takes a stream", () => {
    expect(() => readHttpBindings(serviceWithRules([post("/v1/x")], { clientStreaming: true }))).toThrow(
      "a stream of requests has no form in HTTP transcoding",
    );
  });
});

test("two rules that match the same requests are an error at start, naming both", () => {
  const service = serviceWithRules([get("/v1/{string_value}:x"), post("/v1/{string_value}:x"), get("/v1/{color}:x")]);
  const build = () => createGatewayRoutes([service], fixtureRegistry);
  expect(build).toThrow(RouteCollisionError);
  expect(build).toThrow(
    "GET /v1/{string_value}:x (rules.Rules.M0) and GET /v1/{color}:x (rules.Rules.M2) match the same requests",
  );
});

test("the rules of one method collide as those of two do", () => {
  const service = serviceWithRules([{ ...get("/v1/{color}"), additionalBindings: [get("/v1/*")] }]);
  expect(() => createGatewayRoutes([service], fixtureRegistry)).toThrow(RouteCollisionError);
});

test("every rule of the fixture is read, and a method without one is not served", () => {
  const described = readHttpBindings(fixtureService).map(describeBinding);
  expect(described).toContain("GET /v1/files/{name=**}:read (fixture.v1.FixtureService.GetBook)");
  expect(described).toContain("* /v1/any/{name} (fixture.v1.FixtureService.AnyMethod)");
  expect(described.join()).not.toContain("Hidden");
});

describe("the project's own contract", () => {
  const bindings = contractServices.flatMap(readHttpBindings);
  const routes = createGatewayRoutes(contractServices, createServiceRegistry(contractServices));

  test("every unary method has a route", () => {
    const served = new Set(bindings.map((binding) => binding.method.name));
    const unary = contractServices
      .flatMap((service) => service.methods)
      .filter((method) => method.methodKind === "unary");
    expect(unary.filter((method) => !served.has(method.name)).map((method) => method.name)).toEqual([]);
  });

  test.each(bindings.map((binding) => [describeBinding(binding), binding] as const))("%s", (_, binding) => {
    const path = binding.template.source.replaceAll(/\{[^}]*\}/g, "wh_1:2%2F3");
    const match = routes.match(binding.httpMethod, path);
    expect(match.kind === "found" && describeBinding(match.route.binding)).toBe(describeBinding(binding));
  });
});

import type { DescFile, DescMethod, DescService, JsonObject } from "@bufbuild/protobuf";
import { describeBinding, type HttpBinding, readHttpBindings } from "../gateway/http-binding.ts";
import { createErrorResponses, type ErrorResponsesOptions } from "./error-responses.ts";
import { createMessageSchemas } from "./message-schemas.ts";
import { type OpenApiPath, toOpenApiPath } from "./openapi-path.ts";
import { createOperation, type Example, type OperationAccess, operationId } from "./operation.ts";
import { createProse } from "./prose.ts";

/**
 * Describes every route of the services, as google.api.http and the gateway have them, in OpenAPI 3.1. The files of the services must come with
 * their source information, where the texts are taken from.
 *
 * @throws {HttpRuleError} where a rule is not valid.
 * @throws {Error} for what OpenAPI cannot say, and for an example of an operation that there is not.
 */
export function createOpenApiDocument(options: OpenApiOptions): JsonObject {
  const prose = createProse(options.files);
  const schemas = createMessageSchemas(prose, new Set(options.verbatimFields));
  const { actingParameters = [], answerHeaders } = options;
  const errors = createErrorResponses(options.errors, schemas);
  const examples = new Map(Object.entries(options.examples ?? {}));
  const paths: Record<string, JsonObject> = {};
  for (const { names, path, routes } of groupByPath(options.services.flatMap(({ service }) => routesOf(service)))) {
    const item: JsonObject = {};
    for (const route of routes) {
      const tag = options.services.find(({ service }) => service === route.binding.method.parent)?.tag ?? "";
      const example = examples.get(route.id);
      examples.delete(route.id);
      const access = options.accessOf?.(route.binding.method);
      const described = { ...route, tag, prose, schemas, names, example, access };
      const operation = { ...described, errorResponses: errors.of, actingParameters, answerHeaders };
      item[httpMethodKey(route.binding, item)] = createOperation(route.binding, operation);
    }
    paths[path] = item;
  }
  if (examples.size > 0)
    throw new Error(`there are examples of unknown operations: ${[...examples.keys()].join(", ")}`);
  return {
    openapi: "3.1.1",
    info: options.info,
    servers: [{ url: "/" }],
    security: Object.keys(options.securitySchemes).map((name) => ({ [name]: [] })),
    tags: options.services.map(({ service, tag }) => ({ name: tag, description: prose.describe(service) })),
    paths: { ...paths, ...options.paths },
    ...(options.webhooks === undefined ? {} : { webhooks: options.webhooks }),
    components: {
      securitySchemes: options.securitySchemes,
      ...(options.headers === undefined ? {} : { headers: options.headers }),
      responses: errors.components,
      schemas: { ...schemas.components(), Error: errors.schema, ...options.schemas },
    },
  };
}

export interface OpenApiOptions {
  /** The files of the contract, with source information. */
  readonly files: readonly DescFile[];
  /** In the order of the document, each with the name of its group. */
  readonly services: readonly { readonly service: DescService; readonly tag: string }[];
  /** The info object: title, version, and what there is to know before the first call. */
  readonly info: JsonObject;
  /** By name; any one of them lets a caller in. */
  readonly securitySchemes: JsonObject;
  /** What a call of a method needs besides. Left out: nothing. */
  readonly accessOf?: (method: DescMethod) => OperationAccess | undefined;
  readonly errors: ErrorResponsesOptions;
  /** By operation. */
  readonly examples?: Readonly<Record<string, Example>>;
  /** The section `webhooks`: requests that are sent and not received. */
  readonly webhooks?: JsonObject;
  /** Paths beside those of the contract. */
  readonly paths?: JsonObject;
  /** Components beside those of the contract. */
  readonly schemas?: JsonObject;
  /** The components of headers, by name. */
  readonly headers?: JsonObject;
  /** Headers of the answer of every operation that succeeds. */
  readonly answerHeaders?: JsonObject;
  /** Full names of message fields in which the server takes as given what it sets elsewhere: `package.Message.field`. */
  readonly verbatimFields?: readonly string[];
  /** Parameters of every operation that does more than read, such as headers. */
  readonly actingParameters?: readonly JsonObject[];
}

interface Route {
  readonly id: string;
  readonly binding: HttpBinding;
  readonly path: OpenApiPath;
}

function routesOf(service: DescService): Route[] {
  const counts = new Map<string, number>();
  return readHttpBindings(service).map((binding) => {
    const id = operationId(binding.method);
    const count = (counts.get(id) ?? 0) + 1;
    counts.set(id, count);
    return { id: count === 1 ? id : `${id}_${count}`, binding, path: toOpenApiPath(binding) };
  });
}

/** Routes whose paths differ in the names of parameters alone are one path of OpenAPI; the shortest names are taken. */
function groupByPath(all: readonly Route[]): PathGroup[] {
  const groups = Map.groupBy(all, ({ path }) => path.format(path.parameters.map(() => "")));
  return [...groups.values()].map((routes) => {
    const candidates = routes.map(({ path }) => path.parameters.map(({ name }) => name));
    const names = candidates.toSorted((one, other) => one.join().length - other.join().length)[0] ?? [];
    return { names, path: routes[0]?.path.format(names) ?? "", routes };
  });
}

interface PathGroup {
  /** Of the parameters. */
  readonly names: readonly string[];
  readonly path: string;
  readonly routes: readonly Route[];
}

const httpMethods = new Set(["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"]);

function httpMethodKey(binding: HttpBinding, item: JsonObject): string {
  const key = binding.httpMethod.toLowerCase();
  if (!httpMethods.has(binding.httpMethod)) throw new Error(`${describeBinding(binding)}: OpenAPI has no such method`);
  if (key in item) throw new Error(`${describeBinding(binding)}: OpenAPI cannot tell it from another operation`);
  return key;
}

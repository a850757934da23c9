import type { DescField, DescMethod, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { takesRawBody } from "../gateway/bind-body.ts";
import { answersRawBody } from "../gateway/encode-message.ts";
import { isPlainMessage } from "../gateway/field-path.ts";
import type { HttpBinding } from "../gateway/http-binding.ts";
import { maskToInfer } from "../gateway/inferred-mask.ts";
import { readFieldRules } from "./field-rules.ts";
import { isRequired, type MessageSchemas } from "./message-schemas.ts";
import { jsonPath, type OpenApiPath, type PathParameter } from "./openapi-path.ts";
import { firstSentence, type Prose, paragraphs } from "./prose.ts";
import { queryParameters } from "./query-parameters.ts";

/** The operation of a binding, with its parameters, body and answers. `names` are those of the path's parameters. */
export function createOperation(binding: HttpBinding, options: OperationOptions): JsonObject {
  const { id, tag, prose, schemas, example, access } = options;
  const { method } = binding;
  const comment = prose.describe(method);
  const summary = firstSentence(comment);
  const traits = traitsOf(binding);
  const acting = traits.isSafe ? [] : options.actingParameters;
  const parameters = [...pathParameters(options), ...queryParameters(binding, schemas), ...acting];
  const body = requestBody(binding, schemas, example?.request);
  return {
    operationId: id,
    tags: [tag],
    summary: summary === "" ? method.name : summary,
    ...describe(comment.length > summary.length + 1 ? comment : "", access?.description ?? ""),
    ...(access === undefined ? {} : { security: access.security }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: { 200: answer(binding, options), ...options.errorResponses(traits) },
  };
}

export interface OperationOptions {
  readonly id: string;
  readonly tag: string;
  readonly prose: Prose;
  readonly schemas: MessageSchemas;
  readonly path: OpenApiPath;
  readonly names: readonly string[];
  readonly example: Example | undefined;
  /** Undefined: as the document says for all operations. */
  readonly access: OperationAccess | undefined;
  /** Parameters of every operation that does more than read. */
  readonly actingParameters: readonly JsonObject[];
  /** Headers of the answer, undefined: none that need telling. */
  readonly answerHeaders: JsonObject | undefined;
  /** The answers to a call that fails, by status. */
  readonly errorResponses: (traits: OperationTraits) => JsonObject;
}

/** Who may call an operation. */
export interface OperationAccess {
  /** A sentence for people. */
  readonly description: string;
  /** The security requirements of OpenAPI, of which one has to be met. */
  readonly security: JsonObject[];
}

/** A body of the operation as a client sends it, and the answer to it. */
export interface Example {
  readonly request?: JsonValue;
  readonly response?: JsonValue;
}

/** What decides which errors there are. */
export interface OperationTraits {
  readonly hasBody: boolean;
  /** It only reads. */
  readonly isSafe: boolean;
}

/** The stable name of a method in clients: `WebhookService_CreateWebhook`. */
export function operationId({ parent, name }: DescMethod): string {
  return `${parent.name}_${name}`;
}

function describe(...texts: readonly string[]): JsonObject {
  const description = paragraphs(...texts);
  return description === "" ? {} : { description };
}

function traitsOf({ method, body, httpMethod }: HttpBinding): OperationTraits {
  const level = method.idempotency;
  return {
    hasBody: body !== undefined,
    isSafe: level === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS || httpMethod === "GET",
  };
}

function pathParameters({ path, names, schemas }: OperationOptions): JsonObject[] {
  return path.parameters.map((parameter, index) => ({
    name: names[index] ?? parameter.name,
    in: "path",
    required: true,
    ...describeParameter(parameter, schemas),
  }));
}

function describeParameter({ fields, isPart, isRest }: PathParameter, schemas: MessageSchemas): JsonObject {
  const last = fields?.at(-1);
  if (fields === undefined || last === undefined) return { schema: { type: "string" } };
  const part = isPart ? `One segment of \`${jsonPath(fields)}\`.` : "";
  const rest = isRest ? "Any number of segments; the slashes between them are not encoded." : "";
  const description = paragraphs(schemas.describeField(last), part, rest);
  const schema = isPart || isRest ? { type: "string" } : schemas.valueSchema(last);
  return { ...(description === "" ? {} : { description }), schema };
}

function requestBody(binding: HttpBinding, schemas: MessageSchemas, example?: JsonValue): JsonObject | undefined {
  const { body, method } = binding;
  if (body === undefined) return undefined;
  if (takesRawBody(method.input, body)) return { content: { "*/*": { schema: {} } } };
  const schema = body === "*" ? wholeBodySchema(binding, schemas) : fieldBodySchema(binding, body, schemas);
  const description = body === "*" ? "" : schemas.describeField(body);
  const needed = body === "*" ? unbound(binding).some(isRequired) : isRequired(body);
  return {
    ...(description === "" ? {} : { description }),
    required: needed,
    content: { "application/json": { schema, ...(example === undefined ? {} : { example }) } },
  };
}

/** The fields of the request that the path does not set. */
function unbound({ method, variables }: HttpBinding): DescField[] {
  return method.input.fields.filter(
    (field) => !variables.some(({ fields }) => fields.length === 1 && fields[0] === field),
  );
}

function wholeBodySchema(binding: HttpBinding, schemas: MessageSchemas): JsonObject {
  const rest = unbound(binding);
  const { input } = binding.method;
  return schemas.variantSchema(input, { omit: input.fields.filter((field) => !rest.includes(field)) }, "Body");
}

function fieldBodySchema(binding: HttpBinding, body: DescField, schemas: MessageSchemas): JsonObject {
  if (!isPlainMessage(body) || maskToInfer(binding) === undefined) return schemas.valueSchema(body);
  // A field whose rules are ignored is one of which a part may be sent.
  if (!readFieldRules(body).ignored) return schemas.valueSchema(body);
  return schemas.variantSchema(body.message, { isPatch: true }, "Patch");
}

function answer({ method, responseBody }: HttpBinding, options: OperationOptions): JsonObject {
  const { prose, schemas, example, answerHeaders } = options;
  const description = (responseBody === undefined ? "" : prose.describe(responseBody)) || prose.describe(method.output);
  const headers = answerHeaders === undefined ? {} : { headers: answerHeaders };
  if (answersRawBody(method.output, responseBody)) {
    return { description: description || "OK", ...headers, content: { "*/*": { schema: {} } } };
  }
  const schema = responseBody === undefined ? schemas.messageSchema(method.output) : schemas.valueSchema(responseBody);
  const content = { schema, ...(example?.response === undefined ? {} : { example: example.response }) };
  return {
    description: description || "OK",
    ...headers,
    content:
      method.methodKind === "server_streaming"
        ? { "application/x-ndjson": content, "text/event-stream": content }
        : { "application/json": content },
  };
}

import {
  create,
  createFileRegistry,
  type FileRegistry,
  fromBinary,
  getExtension,
  hasExtension,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { operator_only, required_scope } from "../../../gen/tellwire/v1/access_pb.ts";
import { calls_receiver } from "../../../gen/tellwire/v1/limits_pb.ts";
import type { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { openServices } from "../../../src/api/servers/open-services.ts";
import { reflectionV1Alpha } from "../../../src/api/servers/reflection-v1alpha.ts";
import { createGrpcJsClient } from "../../support/grpc-js-client.ts";
import { atOnceMs, noTimer, startTestServers } from "./test-servers.ts";

type Question = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]>;

for (const service of [ServerReflection, reflectionV1Alpha]) {
  test(`${service.typeName} lists every service, its own names included`, async () => {
    const { grpcUrl } = await startTestServers();
    const [answer] = await ask(grpcUrl, [{ case: "listServices", value: "" }], service);
    expect(answer?.messageResponse.case).toBe("listServicesResponse");
    const listed = answer?.messageResponse.value as { service: { name: string }[] };
    expect(listed.service.map(({ name }) => name)).toEqual([
      "tellwire.v1.OrganizationService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  });
}

test("every listed service can be described and called from what reflection sends alone", async () => {
  const { grpcUrl } = await startTestServers();
  for (const name of ["tellwire.v1.OrganizationService", ...openServices]) {
    const [answer] = await ask(grpcUrl, [{ case: "fileContainingSymbol", value: name }]);
    const registry = registryOf(answer!);
    expect(registry.getService(name)?.methods.length).toBeGreaterThan(0);
  }
  const [answer] = await ask(grpcUrl, [{ case: "fileContainingSymbol", value: "tellwire.v1.OrganizationService" }]);
  const registry = registryOf(answer!);
  const described = registry.getService("tellwire.v1.OrganizationService")!;
  using client = createGrpcJsClient(described as typeof OrganizationService, grpcUrl);
  const response = await client.getOrganization({ id: "org_1" });
  expect(response).toMatchObject({ organization: { name: "Organization org_1" } });
});

test("a file is sent first, then all that it imports, each once, with its options", async () => {
  const { grpcUrl } = await startTestServers();
  const wanted = "tellwire/v1/organization_service.proto";
  const [answer] = await ask(grpcUrl, [{ case: "fileByFilename", value: wanted }]);
  const files = filesOf(answer!);
  expect(files[0]?.name).toBe(wanted);
  const names = files.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(files.flatMap(({ dependency }) => dependency)));
  expect(names).toContain("google/protobuf/descriptor.proto");
  const options = files[0]!.service[0]!.method.find(({ name }) => name === "GetOrganization")!.options!;
  expect(hasExtension(options, http)).toBe(true);
  expect(getExtension(options, http).pattern).toMatchObject({ case: "get", value: "/v1/organizations/{id}" });
});

test.for([
  ["service", "tellwire.v1.OrganizationService", "tellwire/v1/organization_service.proto"],
  ["method", "tellwire.v1.OrganizationService.GetOrganization", "tellwire/v1/organization_service.proto"],
  ["message", "tellwire.v1.Organization", "tellwire/v1/organization.proto"],
  ["field", "tellwire.v1.Organization.name", "tellwire/v1/organization.proto"],
  ["oneof", "google.api.HttpRule.pattern", "google/api/http.proto"],
  ["nested message", "google.protobuf.DescriptorProto.ExtensionRange", "google/protobuf/descriptor.proto"],
  ["enum", "google.api.FieldBehavior", "google/api/field_behavior.proto"],
  ["enum value", "google.api.REQUIRED", "google/api/field_behavior.proto"],
  ["nested enum's value", "grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"],
  ["extension", "google.api.http", "google/api/annotations.proto"],
])("a %s is found by its name", async ([, symbol, file]) => {
  const { grpcUrl } = await startTestServers();
  const [answer] = await ask(grpcUrl, [{ case: "fileContainingSymbol", value: symbol! }]);
  expect(filesOf(answer!)[0]?.name).toBe(file);
});

test("extensions are found by the message that they extend and their number", async () => {
  const { grpcUrl } = await startTestServers();
  const [file, numbers, none] = await ask(grpcUrl, [
    {
      case: "fileContainingExtension",
      value: { containingType: http.extendee.typeName, extensionNumber: http.number },
    },
    { case: "allExtensionNumbersOfType", value: http.extendee.typeName },
    { case: "allExtensionNumbersOfType", value: "tellwire.v1.Organization" },
  ]);
  expect(filesOf(file!)[0]?.name).toBe("google/api/annotations.proto");
  expect(numbers?.messageResponse.value).toMatchObject({
    baseTypeName: "google.protobuf.MethodOptions",
    extensionNumber: [required_scope.number, operator_only.number, calls_receiver.number, http.number],
  });
  expect(none?.messageResponse.value).toMatchObject({ extensionNumber: [] });
});

test("what is not known is an error within the stream, which goes on and repeats each request", async () => {
  const { grpcUrl } = await startTestServers();
  const answers = await ask(grpcUrl, [
    { case: "fileByFilename", value: "nothing.proto" },
    { case: "fileContainingSymbol", value: "nothing.Nothing" },
    { case: "fileContainingExtension", value: { containingType: "tellwire.v1.Organization", extensionNumber: 1 } },
    { case: "allExtensionNumbersOfType", value: "nothing.Nothing" },
    { case: undefined },
  ]);
  expect(answers.map(({ messageResponse }) => messageResponse.value)).toMatchObject([
    { errorCode: status.NOT_FOUND, errorMessage: "file nothing.proto is not known here" },
    { errorCode: status.NOT_FOUND, errorMessage: "symbol nothing.Nothing is not known here" },
    { errorCode: status.NOT_FOUND, errorMessage: "extension 1 of tellwire.v1.Organization is not known here" },
    { errorCode: status.NOT_FOUND, errorMessage: "type nothing.Nothing is not known here" },
    { errorCode: status.INVALID_ARGUMENT, errorMessage: "message_request: set one of its fields" },
  ]);
  expect(answers[0]).toMatchObject({
    validHost: "here",
    originalRequest: { host: "here", messageRequest: { value: "nothing.proto" } },
  });
});

test("an open reflection stream does not hold the shutdown up", async () => {
  const { grpcUrl, close, logLines } = await startTestServers();
  using client = createGrpcJsClient(ServerReflection, grpcUrl);
  const stream = client.serverReflectionInfo();
  stream.write({ messageRequest: { case: "listServices", value: "" } });
  const answers = (stream as AsyncIterable<ServerReflectionResponse>)[Symbol.asyncIterator]();
  await answers.next();
  const beganMs = performance.now();
  await close(noTimer);
  expect(performance.now() - beganMs).toBeLessThan(atOnceMs);
  expect(await answers.next()).toMatchObject({ done: true });
  expect(logLines).toEqual([]);
});

/** Asks all questions in one stream, and answers with the answers in their order. */
async function ask(
  grpcUrl: string,
  questions: Question[],
  service = ServerReflection,
): Promise<ServerReflectionResponse[]> {
  using client = createGrpcJsClient(service, grpcUrl);
  const stream = client.serverReflectionInfo();
  for (const messageRequest of questions) stream.write({ host: "here", messageRequest });
  stream.end();
  return await stream.toArray();
}

/** The descriptors of an answer, made of nothing but its files. */
function registryOf(answer: ServerReflectionResponse): FileRegistry {
  const files = new Map(filesOf(answer).map((file) => [file.name, file]));
  const importsFirst = new Set<FileDescriptorProto>();
  const add = (name: string): void => {
    const file = files.get(name)!;
    file.dependency.forEach(add);
    importsFirst.add(file);
  };
  for (const name of files.keys()) add(name);
  return createFileRegistry(create(FileDescriptorSetSchema, { file: [...importsFirst] }));
}

function filesOf({ messageResponse }: ServerReflectionResponse): FileDescriptorProto[] {
  expect(messageResponse.case).toBe("fileDescriptorResponse");
  const { fileDescriptorProto } = messageResponse.value as { fileDescriptorProto: Uint8Array[] };
  return fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

import { execFileSync } from "node:child_process";
import {
  create,
  createFileRegistry,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageInitShape,
  setExtension,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema, MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { HttpRuleSchema } from "../../gen/google/api/http_pb.ts";

const root = new URL("../../", import.meta.url);
const modules = { version: "v2", modules: [{ path: "test/gateway/proto" }, { path: "proto/vendored" }] };

/** The contract in proto/fixture, compiled when the tests start, so that nothing generated can be out of date. */
const registry = createFileRegistry(
  fromBinary(
    FileDescriptorSetSchema,
    execFileSync(
      "node_modules/.bin/buf",
      ["build", "test/gateway/proto", "--config", JSON.stringify(modules), "-o", "-#format=binpb"],
      { cwd: root, maxBuffer: 16 * 1024 * 1024 },
    ),
  ),
);

export const fixtureRegistry = registry;

export const fixtureService: DescService = registry.getService("fixture.v1.FixtureService")!;

export function fixtureMessage(name: string): DescMessage {
  return registry.getMessage(`fixture.v1.${name}`)!;
}

/** A service with one method for each rule, in their order: M0, M1, …, on messages of the fixture. */
export function serviceWithRules(rules: readonly RuleInit[], shape: MethodShape = {}): DescService {
  const { input = "Everything", output = "Everything", clientStreaming = false } = shape;
  const method = rules.map((rule, index) => {
    const options = create(MethodOptionsSchema);
    setExtension(options, http, create(HttpRuleSchema, rule));
    return {
      name: `M${index}`,
      inputType: `.fixture.v1.${input}`,
      outputType: `.fixture.v1.${output}`,
      clientStreaming,
      options,
    };
  });
  const file = create(FileDescriptorProtoSchema, {
    name: "rules.proto",
    package: "rules",
    syntax: "proto3",
    dependency: ["fixture/v1/fixture.proto"],
    service: [{ name: "Rules", method }],
  });
  return createFileRegistry(file, (name) => registry.getFile(name)).getService("rules.Rules")!;
}

type RuleInit = MessageInitShape<typeof HttpRuleSchema>;

interface MethodShape {
  input?: string;
  output?: string;
  clientStreaming?: boolean;
}

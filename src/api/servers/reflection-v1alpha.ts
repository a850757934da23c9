import { create, createFileRegistry } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { file_grpc_reflection_v1_reflection, ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";

/**
 * The reflection service under its older name, which older clients ask for first. Its messages are those of v1, which took over every field
 * number: nothing on the wire differs but the path of the call.
 */
export const reflectionV1Alpha: typeof ServerReflection = describe();

function describe(): typeof ServerReflection {
  const { name, parent } = ServerReflection.method.serverReflectionInfo;
  const packageName = "grpc.reflection.v1alpha";
  const file = create(FileDescriptorProtoSchema, {
    name: "grpc/reflection/v1alpha/reflection.proto",
    package: packageName,
    syntax: "proto3",
    dependency: [file_grpc_reflection_v1_reflection.proto.name],
    service: [
      {
        name: parent.name,
        method: [
          {
            name,
            inputType: `.${ServerReflection.method.serverReflectionInfo.input.typeName}`,
            outputType: `.${ServerReflection.method.serverReflectionInfo.output.typeName}`,
            clientStreaming: true,
            serverStreaming: true,
          },
        ],
      },
    ],
  });
  const registry = createFileRegistry(file, () => file_grpc_reflection_v1_reflection);
  const service = registry.getService(`${packageName}.${parent.name}`);
  if (service === undefined) throw new Error("the descriptor of the older reflection service does not hold it");
  return service as typeof ServerReflection;
}

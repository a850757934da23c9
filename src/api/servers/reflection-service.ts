import type { DescFile, DescService, MessageInitShape } from "@bufbuild/protobuf";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { type DescriptorIndex, indexDescriptors, serializeWithImports } from "./descriptor-index.ts";
import { untilAborted } from "./until-aborted.ts";

/**
 * The reflection service (grpc.reflection.v1) over the given services. A file is answered together with everything that it imports, the
 * file itself first. What is not found is an ErrorResponse within the stream, which goes on; the stream ends when `closing` aborts.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
 */
export function createReflectionService(
  services: readonly DescService[],
  closing: AbortSignal,
): ServiceImpl<typeof ServerReflection> {
  let index: DescriptorIndex | undefined;
  return {
    async *serverReflectionInfo(requests) {
      // Made for the first caller: most processes never have one.
      index ??= indexDescriptors(services);
      for await (const request of untilAborted(requests, closing)) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request, index, services) };
      }
    },
  };
}

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

function answer(
  { messageRequest }: ServerReflectionRequest,
  index: DescriptorIndex,
  services: readonly DescService[],
): Answer {
  switch (messageRequest.case) {
    case "fileByFilename":
      return fileAnswer(index.fileByName(messageRequest.value), `file ${messageRequest.value}`);
    case "fileContainingSymbol":
      return fileAnswer(index.fileBySymbol(messageRequest.value), `symbol ${messageRequest.value}`);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = messageRequest.value;
      const file = index.fileByExtension(containingType, extensionNumber);
      return fileAnswer(file, `extension ${extensionNumber} of ${containingType}`);
    }
    case "allExtensionNumbersOfType": {
      const extensionNumber = index.extensionNumbers(messageRequest.value);
      if (extensionNumber === undefined)
        return errorAnswer(Code.NotFound, `type ${messageRequest.value} is not known here`);
      return { case: "allExtensionNumbersResponse", value: { baseTypeName: messageRequest.value, extensionNumber } };
    }
    case "listServices":
      return { case: "listServicesResponse", value: { service: services.map(({ typeName }) => ({ name: typeName })) } };
    case undefined:
      return errorAnswer(Code.InvalidArgument, "message_request: set one of its fields");
  }
}

function fileAnswer(file: DescFile | undefined, wanted: string): Answer {
  if (file === undefined) return errorAnswer(Code.NotFound, `${wanted} is not known here`);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: serializeWithImports(file) } };
}

function errorAnswer(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

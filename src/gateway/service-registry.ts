import { createRegistry, type DescFile, type DescService, type Registry } from "@bufbuild/protobuf";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";

/** The types of the services' files and of everything that they import, and google.rpc's error details. */
export function createServiceRegistry(services: readonly DescService[]): Registry {
  const files = new Map<string, DescFile>();
  const collect = (file: DescFile): void => {
    if (files.has(file.name)) return;
    files.set(file.name, file);
    for (const dependency of file.dependencies) collect(dependency);
  };
  // The services' own copies of types go first.
  for (const service of services) collect(service.file);
  collect(file_google_rpc_error_details);
  return createRegistry(...files.values());
}

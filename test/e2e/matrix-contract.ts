import { readdirSync } from "node:fs";
import type { DescMethod, DescService } from "@bufbuild/protobuf";

/** Every method of every service of the contract, by service and method, found in the generated code itself. */
export async function readContract(): Promise<ReadonlyMap<string, DescMethod>> {
  const folder = new URL("../../gen/tellwire/v1/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith("_service_pb.ts"));
  const modules = await Promise.all(
    files.map(async (name) => Object.values((await import(new URL(name, folder).href)) as object)),
  );
  const services = modules.flat().filter(isService);
  return new Map(
    services.flatMap((service) => service.methods.map((method) => [`${service.name}/${method.name}`, method] as const)),
  );
}

function isService(exported: unknown): exported is DescService {
  return typeof exported === "object" && exported !== null && "kind" in exported && exported.kind === "service";
}

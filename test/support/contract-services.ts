import { readdirSync } from "node:fs";
import type { DescService } from "@bufbuild/protobuf";

/** Every service of the contract, found in the generated code itself: what is new is there without anybody adding it to a list. */
export const contractServices: readonly DescService[] = await readServices();

async function readServices(): Promise<DescService[]> {
  const folder = new URL("../../gen/tellwire/v1/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith("_pb.ts"));
  const modules = await Promise.all(
    files.map(async (name) => Object.values((await import(new URL(name, folder).href)) as object)),
  );
  return modules.flat().filter(isService);
}

function isService(exported: unknown): exported is DescService {
  return typeof exported === "object" && exported !== null && "kind" in exported && exported.kind === "service";
}

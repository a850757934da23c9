import type { DescMethod } from "@bufbuild/protobuf";
import { contractServices } from "../support/contract-services.ts";

/** Every method of every service of the contract, by service and method. */
export const contract: ReadonlyMap<string, DescMethod> = new Map(
  contractServices.flatMap((service) =>
    service.methods.map((method) => [`${service.name}/${method.name}`, method] as const),
  ),
);

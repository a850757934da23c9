import type { DescMethod, DescMethodUnary } from "@bufbuild/protobuf";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import { contractServices } from "../test/support/contract-services.ts";

/** Every unary method of the contract. */
export const contractMethods: readonly DescMethodUnary[] = contractServices.flatMap(({ methods }) =>
  methods.filter(isUnary),
);

/** These, and those that need no key. */
export const unaryMethods: readonly DescMethodUnary[] = [...contractMethods, ...Health.methods.filter(isUnary)];

/** The path of a method, in every protocol but REST. */
export function pathOf({ parent, name }: DescMethod): string {
  return `/${parent.typeName}/${name}`;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

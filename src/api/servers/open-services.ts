import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { reflectionV1Alpha } from "./reflection-v1alpha.ts";

/** The full names of the services that anybody may call without a key: health checking, and the reflection of the public contract. */
export const openServices: ReadonlySet<string> = new Set([
  Health.typeName,
  ServerReflection.typeName,
  reflectionV1Alpha.typeName,
]);

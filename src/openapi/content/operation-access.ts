import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { operator_only, required_scope, type Scope, ScopeSchema } from "../../../gen/tellwire/v1/access_pb.ts";
import type { OperationAccess } from "../operation.ts";
import { securitySchemes } from "./introduction.ts";

/** What the contract says of who may call a method. OpenAPI 3.1 has room for it beside each scheme, as the roles that a call needs. */
export function operationAccess(method: DescMethod): OperationAccess {
  const isForOperators = getOption(method, operator_only);
  const role = isForOperators ? "operator" : scopeName(getOption(method, required_scope));
  return {
    description: isForOperators ? "Needs an operator's key." : `Needs the scope \`${role}\`.`,
    security: Object.keys(securitySchemes).map((scheme) => ({ [scheme]: [role] })),
  };
}

/** `webhooks:read` of SCOPE_WEBHOOKS_READ. */
function scopeName(scope: Scope): string {
  return (ScopeSchema.value[scope]?.localName ?? "").toLowerCase().replace("_", ":");
}

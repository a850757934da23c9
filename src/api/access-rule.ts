import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { operator_only, required_scope } from "../../gen/tellwire/v1/access_pb.ts";
import type { AccessRule } from "../domain/scope.ts";
import { scopeOf } from "./messages/scope-message.ts";

/**
 * Who may call a method, as the contract says. Throws where it says nothing, or both of what it can say: such a method is called by nobody.
 */
export function accessRuleOf(method: DescMethod): AccessRule {
  const isForOperators = getOption(method, operator_only);
  if (isForOperators !== hasOption(method, required_scope)) {
    if (isForOperators) return "operators only";
    const scope = scopeOf(getOption(method, required_scope));
    if (scope !== undefined) return scope;
  }
  throw new Error(`${method.parent.typeName}/${method.name} has to name either required_scope or operator_only`);
}

import { type DescMethod, fromJson, getOption, type JsonObject, type Message } from "@bufbuild/protobuf";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { operator_only, required_scope, Scope } from "../../gen/tellwire/v1/access_pb.ts";

/** Who may call a method, as the contract has it: undefined where it says nothing. */
export function contractRuleOf(method: DescMethod): Scope | "operators only" | undefined {
  if (getOption(method, operator_only)) return "operators only";
  const scope = getOption(method, required_scope);
  return scope === Scope.UNSPECIFIED ? undefined : scope;
}

/**
 * The smallest request of a method that every protocol can carry: empty, but for what REST writes into the path. Where somebody is let in
 * who should not be, the call fails because of its fields, or answers.
 */
export function smallestRequest(method: DescMethod): Message {
  const pattern = getOption(method, http)?.pattern.value;
  const fields: JsonObject = {};
  for (const [, path = ""] of typeof pattern === "string" ? pattern.matchAll(/\{([a-z_.]+)\}/g) : []) {
    const names = path.split(".");
    const last = names.pop() ?? "";
    let at = fields;
    for (const name of names) {
      at[name] ??= {};
      at = at[name] as JsonObject;
    }
    at[last] = "x";
  }
  return fromJson(method.input, fields);
}

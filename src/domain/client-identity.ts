import { parseId } from "./ids.ts";
import { isScope, type Scope, scopes } from "./scope.ts";

/** Whom a client's certificate with this name stands for. */
export interface ClientIdentity {
  /** A DNS name in lower case, or a URI such as a SPIFFE id, among the certificate's alternative names. */
  readonly name: string;
  readonly grant: ClientGrant;
}

/** What is granted to a name. */
export type ClientGrant =
  | { readonly kind: "operator" }
  | { readonly kind: "organization"; readonly organizationId: string; readonly scopes: readonly Scope[] };

/** Reads `name=operator`, or `name=organization` with `:scope+scope` where it does not have all of them. `problem`: what is wrong, after "must be". */
export function parseClientIdentity(text: string): ClientIdentity | { problem: string } {
  const [, written = "", granted = ""] = /^(.+)=([^=]*)$/.exec(text) ?? [];
  const name = written.includes(":") ? written : written.toLowerCase();
  if (!dnsName.test(name) && !uri.test(name)) {
    return { problem: "a DNS name or a URI, an equals sign, and what it stands for" };
  }
  if (granted === "operator") return { name, grant: { kind: "operator" } };
  const [organization = "", scopeText] = splitOnce(granted, ":");
  const organizationId = parseId("organization", organization);
  if (organizationId === undefined)
    return { problem: "a name, an equals sign, and operator or the id of an organization" };
  const words = scopeText?.split("+");
  const granting = words?.filter(isScope) ?? [...scopes];
  if (words !== undefined && granting.length < words.length) {
    return { problem: `a name, an organization and, after a colon, scopes joined by plus signs: ${scopes.join(", ")}` };
  }
  return { name, grant: { kind: "organization", organizationId, scopes: granting } };
}

/** No wildcards: each client has a name of its own. */
const dnsName = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

const uri = /^[a-z][a-z0-9+.-]*:\/\/[\x21\x23-\x2b\x2d-\x7e]+$/;

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

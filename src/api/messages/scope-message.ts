import { Scope as WireScope } from "../../../gen/tellwire/v1/access_pb.ts";
import type { Scope } from "../../domain/scope.ts";
import { enumName } from "./wire-values.ts";

/** `webhooks:read` of SCOPE_WEBHOOKS_READ; undefined for a number without a name, and for SCOPE_UNSPECIFIED. */
export function scopeOf(wire: WireScope): Scope | undefined {
  const name = enumName(WireScope, wire);
  return name && names[name];
}

/** SCOPE_WEBHOOKS_READ of `webhooks:read`. */
export function scopeMessage(scope: Scope): WireScope {
  const [name] = (Object.keys(names) as ScopeName[]).filter((known) => names[known] === scope);
  return WireScope[name ?? "UNSPECIFIED"];
}

type ScopeName = Exclude<keyof typeof WireScope, "UNSPECIFIED">;

const names: Readonly<Record<ScopeName, Scope>> = {
  WEBHOOKS_READ: "webhooks:read",
  WEBHOOKS_WRITE: "webhooks:write",
  SECRETS_ROTATE: "secrets:rotate",
  EVENTS_READ: "events:read",
  EVENTS_PUBLISH: "events:publish",
  DELIVERIES_READ: "deliveries:read",
  DELIVERIES_RETRY: "deliveries:retry",
  KEYS_READ: "keys:read",
  KEYS_WRITE: "keys:write",
  AUDIT_READ: "audit:read",
};

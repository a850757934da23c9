import type { Scope } from "../domain/scope.ts";

/** A change that brings a new signing secret is a rotation too, in systems that have no call of its own for that. */
export function scopeOfSecret(body: unknown): Scope | undefined {
  const hasSecret = typeof body === "object" && body !== null && "secret" in body && body.secret !== undefined;
  return hasSecret ? "secrets:rotate" : undefined;
}

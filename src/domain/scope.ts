/** Everything that a key may be used for, each in the words `what:action`. The contract's enum Scope has the same ones. */
export const scopes = [
  "webhooks:read",
  "webhooks:write",
  "secrets:rotate",
  "events:read",
  "events:publish",
  "deliveries:read",
  "deliveries:retry",
  "keys:read",
  "keys:write",
  "audit:read",
] as const;

export type Scope = (typeof scopes)[number];

/** What somebody may do whom nothing is kept from. */
export const allScopes: ReadonlySet<Scope> = new Set(scopes);

/** Who may make a call: whoever has the scope, or operators alone. */
export type AccessRule = Scope | "operators only";

/** Whether a text is the name of a scope. */
export function isScope(text: string): text is Scope {
  return (allScopes as ReadonlySet<string>).has(text);
}

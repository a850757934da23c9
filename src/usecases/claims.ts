/**
 * The value of a claim: of the member with that name, or else of the one to which the name leads as a path with dots (`realm_access.roles`).
 * Names with dots are common in claims (`https://example.com/organization`), so the name as it stands comes first.
 */
export function claimAt(claims: object, name: string): unknown {
  if (Object.hasOwn(claims, name)) return member(claims, name);
  return name.split(".").reduce<unknown>((value, part) => member(value, part), claims);
}

/** The texts in a claim: of a list the texts in it, of a text the words in it (RFC 8693, section 4.2). */
export function claimTexts(claims: object, name: string): string[] {
  const value = claimAt(claims, name);
  if (typeof value === "string") return value.split(" ").filter((word) => word !== "");
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

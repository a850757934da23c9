import fc from "fast-check";
import type { World } from "../world.ts";

/** Headers with a key: the operator's, an organization's, one that opens nothing, or none at all. */
export function credentials(world: World): fc.Arbitrary<Record<string, string>> {
  return fc.oneof(
    { arbitrary: fc.constant({ authorization: `Bearer ${world.operatorKey}` }), weight: 6 },
    { arbitrary: fc.constant({ "x-api-key": world.organizationKey }), weight: 6 },
    { arbitrary: fc.constant({ authorization: `Bearer ${world.organizationKey}` }), weight: 6 },
    fc.constantFrom<Record<string, string>>(
      {},
      { authorization: "Bearer twk_nothing" },
      { authorization: "Bearer" },
      { authorization: "Basic dXNlcjpwYXNz" },
      { authorization: `Bearer ${"x".repeat(4_000)}` },
      { "x-api-key": "" },
      { "x-api-key": "twk_0000000000000000000000000000000000000000" },
      { authorization: "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0." },
    ),
  );
}

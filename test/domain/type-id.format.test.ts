import fc from "fast-check";
import { TypeID } from "typeid-js";
import { expect, test } from "vitest";
import { formatTypeId } from "../../src/domain/type-id.ts";

test("ids are written as the library writes them", () => {
  fc.assert(
    fc.property(fc.uuid(), (uuid) => {
      expect(formatTypeId("evt", uuid)).toBe(TypeID.fromUUID("evt", uuid).toString());
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  ["00000000-0000-0000-0000-000000000000", "prefix_00000000000000000000000000"],
  ["ffffffff-ffff-ffff-ffff-ffffffffffff", "prefix_7zzzzzzzzzzzzzzzzzzzzzzzzz"],
  ["0110c853-1d09-52d8-d73e-1194e95b5f19", "prefix_0123456789abcdefghjkmnpqrs"],
  ["01890a5d-ac96-774b-bcce-b302099a8057", "prefix_01h455vb4pex5vsknk084sn02q"],
])("%s is %s, as the specification's examples say", (uuid, id) => {
  expect(formatTypeId("prefix", uuid)).toBe(id);
});

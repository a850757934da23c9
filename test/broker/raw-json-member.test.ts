import fc from "fast-check";
import { expect, test } from "vitest";
import { rawJsonMember } from "../../src/broker/raw-json-member.ts";

test.each([
  ['{"data":1}', "1"],
  ['{"data":-1.50e+3}', "-1.50e+3"],
  [' {\n"a" : [ {"data":2} , "]" ] ,\t"data" : null\r\n}', "null"],
  ['{"data":{"a":"\\\\","b":"}"},"c":1}', '{"a":"\\\\","b":"}"}'],
  ['{"data":"a\\"b"}', '"a\\"b"'],
  ['{"data":1,"data":[2, 3]}', "[2, 3]"],
  ['{"\\u0064ata":true}', "true"],
  ["{}", undefined],
  ['{"other":{"data":1}}', undefined],
])("in %s the member data is %s", (json, raw) => {
  expect(rawJsonMember(json, "data")).toBe(raw);
});

test("of any object, the text of a member is that of its value", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), fc.nat(4), (others, value, indent) => {
      const json = JSON.stringify({ ...others, data: value }, null, indent);
      expect(JSON.parse(rawJsonMember(json, "data")!)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

/**
 * A TypeID (https://github.com/jetify-com/typeid, version 0.3): the prefix, `_`, and the UUID's 128 bits as 26 digits of Crockford's base32 in
 * lower case, two zero bits in front. The library parses ids; this writes them, because each delivery carries some of them.
 */
export function formatTypeId(prefix: string, uuid: string): string {
  let text = `${prefix}_`;
  let bits = 0;
  // The two zero bits that make 130 of 128.
  let count = 2;
  for (let index = 0; index < uuid.length; index++) {
    const digit = hexDigits[uuid.charCodeAt(index)] ?? -1;
    if (digit < 0) {
      continue;
    }
    bits = ((bits << 4) | digit) & 0xff;
    count += 4;
    if (count >= 5) {
      count -= 5;
      text += alphabet[(bits >> count) & 31];
    }
  }
  return text;
}

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** By character code: the value of a hexadecimal digit, -1 for anything else. */
const hexDigits = Int8Array.from({ length: 103 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? -1 : value;
});

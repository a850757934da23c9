/**
 * Columns of a set-based statement as array parameters (`$1::uuid[]`) in Postgres' binary format, which neither we nor the server have to write
 * out and parse as text. Each takes the rows and what a row has in the column. A value that its type does not have is refused with the SQLSTATE
 * that Postgres has for it, so that it counts as refused for its content.
 */

/** `uuid[]` from UUIDs with their four hyphens, in either case. */
export function uuidArray<Row>(rows: readonly Row[], column: (row: Row) => string | null): Buffer {
  let text = "";
  for (const row of rows) {
    const uuid = column(row);
    if (uuid !== null && uuid.length !== uuidLength) throw notUuid(uuid);
    text += uuid ?? "";
  }
  // All at once: one call for each value costs more than the conversion.
  const digits = Buffer.from(text);
  let from = 0;
  return fixedArray(rows, column, {
    oid: 2950,
    size: 16,
    write(view, offset, uuid) {
      // A letter of several bytes puts everything after it in the wrong place.
      if (digits.length !== text.length || !writeUuid(view, offset, digits, from)) throw notUuid(uuid);
      from += uuidLength;
    },
  });
}

/** `text[]`. A lone surrogate becomes U+FFFD, as in every text that is sent; Postgres refuses U+0000. */
export function textArray<Row>(rows: readonly Row[], column: (row: Row) => string | null): Buffer {
  let text = "";
  for (const row of rows) {
    text += column(row) ?? "";
  }
  return Buffer.byteLength(text) === text.length
    ? asciiArray(rows, column, text)
    : variableArray(rows, column, {
        oid: textOid,
        sizeOf: (value) => Buffer.byteLength(value),
        write: (target, offset, value) => target.write(value, offset),
      });
}

/** `bytea[]` */
export function byteaArray<Row>(rows: readonly Row[], column: (row: Row) => Uint8Array | null): Buffer {
  return variableArray(rows, column, {
    oid: 17,
    sizeOf: (value) => value.byteLength,
    write: (target, offset, value) => target.set(value, offset),
  });
}

/** `integer[]` */
export function int4Array<Row>(rows: readonly Row[], column: (row: Row) => number | null): Buffer {
  return fixedArray(rows, column, {
    oid: 23,
    size: 4,
    write(view, offset, value) {
      if ((value | 0) !== value) throw refused(numberOutOfRange, `${value} is not an integer of 32 bits`);
      view.setInt32(offset, value);
    },
  });
}

/** `bigint[]` from integers up to 2^53. */
export function int8Array<Row>(rows: readonly Row[], column: (row: Row) => number | null): Buffer {
  return fixedArray(rows, column, {
    oid: 20,
    size: 8,
    write(view, offset, value) {
      if (!Number.isSafeInteger(value)) throw refused(numberOutOfRange, `${value} is not an integer below 2^53`);
      writeInt64(view, offset, value);
    },
  });
}

/** `float8[]` */
export function float8Array<Row>(rows: readonly Row[], column: (row: Row) => number | null): Buffer {
  return fixedArray(rows, column, {
    oid: 701,
    size: 8,
    write: (view, offset, value) => view.setFloat64(offset, value),
  });
}

/** `timestamptz[]` from milliseconds since the epoch, of which fractions are cut off. Infinity is 'infinity', -Infinity '-infinity'. */
export function timestamptzArray<Row>(rows: readonly Row[], column: (row: Row) => number | null): Buffer {
  return fixedArray(rows, column, { oid: 1184, size: 8, write: writeTimestamptz });
}

const textOid = 25;
const headerBytes = 20;
const lengthBytes = 4;
const nullLength = -1;

/** The number of dimensions, whether there are nulls, the element type, the number of elements, and the first one's number. */
function writeHeader(
  view: DataView,
  { oid, count, hasNulls }: { oid: number; count: number; hasNulls: boolean },
): void {
  view.setInt32(0, 1);
  view.setInt32(4, hasNulls ? 1 : 0);
  view.setInt32(8, oid);
  view.setInt32(12, count);
  view.setInt32(16, 1);
}

/** An array without elements has no dimensions. */
function emptyArray(oid: number): Buffer {
  const array = Buffer.alloc(12);
  array.writeInt32BE(oid, 8);
  return array;
}

interface FixedType<Value> {
  oid: number;
  /** Of each value, in bytes. */
  size: number;
  write(view: DataView, offset: number, value: Value): void;
}

function fixedArray<Row, Value>(
  rows: readonly Row[],
  column: (row: Row) => Value | null,
  { oid, size, write }: FixedType<Value>,
): Buffer {
  if (rows.length === 0) return emptyArray(oid);
  const array = Buffer.allocUnsafe(headerBytes + rows.length * (lengthBytes + size));
  const view = viewOf(array);
  let offset = headerBytes;
  for (const row of rows) {
    const value = column(row);
    view.setInt32(offset, value === null ? nullLength : size);
    offset += lengthBytes;
    if (value !== null) {
      write(view, offset, value);
      offset += size;
    }
  }
  writeHeader(view, { oid, count: rows.length, hasNulls: offset < array.length });
  return array.subarray(0, offset);
}

interface VariableType<Value> {
  oid: number;
  sizeOf(value: Value): number;
  write(target: Buffer, offset: number, value: Value): void;
}

function variableArray<Row, Value>(
  rows: readonly Row[],
  column: (row: Row) => Value | null,
  { oid, sizeOf, write }: VariableType<Value>,
): Buffer {
  if (rows.length === 0) return emptyArray(oid);
  const values = rows.map(column);
  const sizes = values.map((value) => (value === null ? nullLength : sizeOf(value)));
  const bytes = sizes.reduce((sum, size) => sum + Math.max(size, 0), 0);
  const array = Buffer.allocUnsafe(headerBytes + rows.length * lengthBytes + bytes);
  const view = viewOf(array);
  let offset = headerBytes;
  for (const [index, value] of values.entries()) {
    const size = sizes[index] ?? nullLength;
    view.setInt32(offset, size);
    offset += lengthBytes;
    if (value !== null && size > 0) {
      write(array, offset, value);
      offset += size;
    }
  }
  writeHeader(view, { oid, count: rows.length, hasNulls: values.includes(null) });
  return array;
}

/** `text[]` of letters that are one byte each: all are written at once, and then moved to where they belong. `text` is all of them together. */
function asciiArray<Row>(rows: readonly Row[], column: (row: Row) => string | null, text: string): Buffer {
  if (rows.length === 0) return emptyArray(textOid);
  let from = headerBytes + rows.length * lengthBytes;
  const array = Buffer.allocUnsafe(from + text.length);
  array.write(text, from, "latin1");
  const view = viewOf(array);
  let offset = headerBytes;
  let hasNulls = false;
  // What is moved is always behind where it goes, by the lengths that are still to come.
  for (const row of rows) {
    const value = column(row);
    const size = value?.length ?? 0;
    hasNulls ||= value === null;
    view.setInt32(offset, value === null ? nullLength : size);
    offset += lengthBytes;
    if (size > 0) array.copyWithin(offset, from, from + size);
    offset += size;
    from += size;
  }
  writeHeader(view, { oid: textOid, count: rows.length, hasNulls });
  return array;
}

function viewOf(array: Buffer): DataView {
  return new DataView(array.buffer, array.byteOffset, array.byteLength);
}

const uuidLength = 36;
const hyphen = 0x2d;
/** Where the digits of each byte of a UUID begin. */
const digitPairs = Uint8Array.of(0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34);
/** By the code of the digit; -1 where it is none. */
const digitValues = new Int8Array(256).map((_, code) =>
  "0123456789abcdef".indexOf(String.fromCharCode(code).toLowerCase()),
);

/** False where the text is no UUID. */
function writeUuid(view: DataView, offset: number, text: Uint8Array, from: number): boolean {
  let all = 0;
  for (let index = 0; index < 16; index++) {
    const at = from + (digitPairs[index] ?? 0);
    const byte = ((digitValues[text[at] ?? 0] ?? -1) * 16) | (digitValues[text[at + 1] ?? 0] ?? -1);
    all |= byte;
    view.setUint8(offset + index, byte);
  }
  const isHyphenated =
    text[from + 8] === hyphen && text[from + 13] === hyphen && text[from + 18] === hyphen && text[from + 23] === hyphen;
  return all >= 0 && isHyphenated;
}

/** Postgres counts microseconds since 2000. */
const year2000Ms = Date.UTC(2000);
/** Of a Date, which ends before Postgres' times do. */
const maxTimeMs = 8.64e15;

function writeTimestamptz(view: DataView, offset: number, time: number): void {
  if (time === Number.POSITIVE_INFINITY) {
    view.setBigInt64(offset, 0x7fff_ffff_ffff_ffffn);
  } else if (time === Number.NEGATIVE_INFINITY) {
    view.setBigInt64(offset, -0x8000_0000_0000_0000n);
  } else if (Math.abs(time) <= maxTimeMs) {
    const milliseconds = Math.trunc(time) - year2000Ms;
    if (Number.isSafeInteger(milliseconds * 1000)) {
      writeInt64(view, offset, milliseconds * 1000);
    } else {
      view.setBigInt64(offset, BigInt(milliseconds) * 1000n);
    }
  } else {
    throw refused("22008", `${time} is not a time in milliseconds`);
  }
}

function writeInt64(view: DataView, offset: number, value: number): void {
  view.setInt32(offset, Math.floor(value / 2 ** 32));
  // Takes the lowest 32 bits.
  view.setUint32(offset + 4, value);
}

const numberOutOfRange = "22003";

function notUuid(text: string): Error {
  return refused("22P02", `${JSON.stringify(text)} is not a UUID`);
}

/** SQLSTATE class 22, data exception: https://www.postgresql.org/docs/current/errcodes-appendix.html */
function refused(code: string, message: string): Error {
  return Object.assign(new RangeError(message), { code });
}
